-- What a console needs: decisions that can be taken back, edited candidates, live progress, saved filters.

-- SQLite cannot change a CHECK, so the table is made anew; dropping the old one drops its index and its triggers.
CREATE TABLE decisions_with_undo (
    id INTEGER PRIMARY KEY,
    candidate_id TEXT NOT NULL REFERENCES candidates (id),
    action TEXT NOT NULL CHECK (action IN ('accept', 'reject', 'defer', 'undo')),
    actor TEXT NOT NULL CHECK (actor <> ''),
    reason TEXT NOT NULL CHECK (reason <> ''),
    decided_at TEXT NOT NULL
);
INSERT INTO decisions_with_undo (id, candidate_id, action, actor, reason, decided_at)
    SELECT id, candidate_id, action, actor, reason, decided_at FROM decisions ORDER BY id;
DROP TABLE decisions;
ALTER TABLE decisions_with_undo RENAME TO decisions;
CREATE INDEX decisions_of_candidate ON decisions (candidate_id, id);
CREATE INDEX decisions_of_actor ON decisions (actor, id);
CREATE TRIGGER decisions_stay BEFORE UPDATE ON decisions
BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
CREATE TRIGGER decisions_remain BEFORE DELETE ON decisions
BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;

-- NULL: written by the policy. Otherwise the candidate that somebody edited.
ALTER TABLE candidates ADD COLUMN derived_from TEXT REFERENCES candidates (id);
CREATE INDEX candidates_derived ON candidates (derived_from) WHERE derived_from IS NOT NULL;

-- The review queue: the best reward of a state first. It also counts the states of what was not imported.
CREATE INDEX candidates_in_review ON candidates (imported, state, reward_mean);

-- Rewards over rounds, without reading the texts that lie beside them.
CREATE INDEX candidates_rewards ON candidates (round_number, role, reward_mean);

-- How far the engine is, for whoever watches. No history: it is emptied when an engine begins and when it ends.
CREATE TABLE live_progress (
    stage TEXT PRIMARY KEY,
    done INTEGER NOT NULL,
    total INTEGER NOT NULL,
    unit TEXT NOT NULL,
    note TEXT NOT NULL,
    rate REAL,
    started_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    details TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE saved_filters (
    name TEXT PRIMARY KEY CHECK (name <> ''),
    screen TEXT NOT NULL,
    text TEXT NOT NULL,
    saved_by TEXT NOT NULL,
    saved_at TEXT NOT NULL
);
