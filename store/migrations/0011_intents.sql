-- Changes of adapters/ are announced here before git's refs move. What a crash leaves half done is finished only if it was
-- announced. A row is deleted by the transaction that records the change, so it is no history.
CREATE TABLE intents (
    token TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('accept', 'rollback', 'policy')),
    actor TEXT NOT NULL CHECK (actor <> ''),
    candidate_id TEXT REFERENCES candidates (id),
    adapter_hash TEXT,
    manifest_hash TEXT,
    parent_commit TEXT NOT NULL,
    refs TEXT NOT NULL,
    records TEXT NOT NULL,
    begun_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX intents_of_candidate ON intents (candidate_id);

-- A policy writes what all later versions learn; its row is as final as a version's.
CREATE TRIGGER policy_versions_stay BEFORE UPDATE ON policy_versions
BEGIN SELECT RAISE(ABORT, 'policy versions are append-only'); END;
CREATE TRIGGER policy_versions_remain BEFORE DELETE ON policy_versions
BEGIN SELECT RAISE(ABORT, 'policy versions are append-only'); END;
