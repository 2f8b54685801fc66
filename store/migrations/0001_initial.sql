-- The schema of seal.db. Columns follow store/records.py; structured fields are canonical JSON; times are UTC text.

CREATE TABLE documents (
    id TEXT PRIMARY KEY,
    path TEXT NOT NULL,
    title TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    added_at TEXT NOT NULL
);

CREATE TABLE tasks (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    context TEXT NOT NULL,
    source TEXT NOT NULL,
    added_at TEXT NOT NULL,
    imported INTEGER NOT NULL CHECK (imported IN (0, 1)),
    document_id TEXT REFERENCES documents (id)
);
CREATE INDEX tasks_of_document ON tasks (document_id);

CREATE TABLE questions (
    id TEXT PRIMARY KEY,
    task_id TEXT NOT NULL REFERENCES tasks (id),
    position INTEGER NOT NULL CHECK (position >= 0),
    text TEXT NOT NULL,
    answers TEXT NOT NULL,
    grader TEXT NOT NULL,
    grader_options TEXT NOT NULL,
    split TEXT NOT NULL CHECK (split IN ('reward', 'audit')),
    UNIQUE (task_id, position)
);

CREATE TABLE rounds (
    number INTEGER PRIMARY KEY CHECK (number > 0),
    state TEXT NOT NULL CHECK (state IN ('running', 'interrupted', 'done', 'failed')),
    seed INTEGER NOT NULL,
    settings TEXT NOT NULL,
    started_at TEXT NOT NULL,
    live_version INTEGER REFERENCES versions (number),
    policy_version INTEGER REFERENCES policy_versions (number),
    new_policy_version INTEGER REFERENCES policy_versions (number),
    finished_at TEXT,
    summary TEXT,
    imported INTEGER NOT NULL CHECK (imported IN (0, 1)),
    CHECK ((state IN ('done', 'failed')) = (finished_at IS NOT NULL))
);
CREATE UNIQUE INDEX one_open_round ON rounds (imported) WHERE state IN ('running', 'interrupted') AND imported = 0;

CREATE TABLE candidates (
    id TEXT PRIMARY KEY,
    round_number INTEGER NOT NULL REFERENCES rounds (number),
    task_id TEXT NOT NULL REFERENCES tasks (id),
    position INTEGER NOT NULL CHECK (position >= 0),
    role TEXT NOT NULL CHECK (role IN ('train', 'held_out')),
    edit_format TEXT NOT NULL,
    prompt TEXT NOT NULL,
    completion TEXT NOT NULL,
    sampling TEXT NOT NULL,
    seed INTEGER NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('proposed', 'examined', 'accepted', 'rejected', 'deferred', 'refused')),
    created_at TEXT NOT NULL,
    sequences TEXT NOT NULL,
    live_version INTEGER REFERENCES versions (number),
    policy_version INTEGER REFERENCES policy_versions (number),
    reward_mean REAL,
    reward_std REAL,
    audit_gain REAL,
    adapter_hash TEXT,
    imported INTEGER NOT NULL CHECK (imported IN (0, 1))
);
CREATE INDEX candidates_of_round ON candidates (round_number, role, task_id, position);
CREATE INDEX candidates_of_task ON candidates (task_id, position);
CREATE INDEX candidates_by_state ON candidates (state, round_number);

CREATE TABLE inner_updates (
    candidate_id TEXT NOT NULL REFERENCES candidates (id),
    repeat INTEGER NOT NULL CHECK (repeat >= 0),
    seed INTEGER NOT NULL,
    hyperparameters TEXT NOT NULL,
    steps INTEGER NOT NULL CHECK (steps >= 0),
    trained_tokens INTEGER NOT NULL CHECK (trained_tokens >= 0),
    elapsed_s REAL NOT NULL CHECK (elapsed_s >= 0),
    losses TEXT NOT NULL,
    adapter_hash TEXT,
    finished_at TEXT NOT NULL,
    PRIMARY KEY (candidate_id, repeat)
) WITHOUT ROWID;

CREATE TABLE answers (
    question_id TEXT NOT NULL REFERENCES questions (id),
    candidate_id TEXT REFERENCES candidates (id),
    repeat INTEGER NOT NULL CHECK (repeat >= 0),
    phase TEXT NOT NULL CHECK (phase IN ('before', 'after')),
    model_state TEXT NOT NULL,
    text TEXT NOT NULL,
    score REAL NOT NULL,
    correct INTEGER NOT NULL CHECK (correct IN (0, 1))
);
CREATE UNIQUE INDEX answers_of_candidate ON answers (candidate_id, question_id, repeat, phase)
    WHERE candidate_id IS NOT NULL;
CREATE UNIQUE INDEX answers_of_untouched ON answers (question_id, model_state) WHERE candidate_id IS NULL;

CREATE TABLE gates (
    candidate_id TEXT NOT NULL REFERENCES candidates (id),
    gate TEXT NOT NULL,
    passed INTEGER NOT NULL CHECK (passed IN (0, 1)),
    evidence TEXT NOT NULL,
    decided_at TEXT NOT NULL,
    PRIMARY KEY (candidate_id, gate)
) WITHOUT ROWID;

CREATE TABLE decisions (
    id INTEGER PRIMARY KEY,
    candidate_id TEXT NOT NULL REFERENCES candidates (id),
    action TEXT NOT NULL CHECK (action IN ('accept', 'reject', 'defer')),
    actor TEXT NOT NULL CHECK (actor <> ''),
    reason TEXT NOT NULL CHECK (reason <> ''),
    decided_at TEXT NOT NULL
);
CREATE INDEX decisions_of_candidate ON decisions (candidate_id, id);

CREATE TABLE versions (
    number INTEGER PRIMARY KEY CHECK (number > 0),
    tag TEXT NOT NULL UNIQUE,
    "commit" TEXT NOT NULL UNIQUE,
    parent_number INTEGER REFERENCES versions (number),
    candidate_id TEXT NOT NULL UNIQUE REFERENCES candidates (id),
    adapter_hash TEXT NOT NULL,
    manifest_hash TEXT NOT NULL,
    accepted_by TEXT NOT NULL CHECK (accepted_by <> ''),
    reason TEXT NOT NULL CHECK (reason <> ''),
    created_at TEXT NOT NULL
);

CREATE TABLE moves (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL CHECK (name IN ('live', 'shadow')),
    from_version INTEGER REFERENCES versions (number),
    to_version INTEGER REFERENCES versions (number),
    cause TEXT NOT NULL CHECK (cause IN ('accept', 'rollback', 'checkout')),
    actor TEXT NOT NULL CHECK (actor <> ''),
    reason TEXT NOT NULL CHECK (reason <> ''),
    moved_at TEXT NOT NULL
);
CREATE INDEX moves_of_name ON moves (name, id);

CREATE TABLE shadow_traffic (
    id INTEGER PRIMARY KEY,
    version_number INTEGER NOT NULL REFERENCES versions (number),
    prompt TEXT NOT NULL,
    live_answer TEXT NOT NULL,
    shadow_answer TEXT NOT NULL,
    agrees INTEGER NOT NULL CHECK (agrees IN (0, 1)),
    answered_at TEXT NOT NULL
);
CREATE INDEX shadow_traffic_of_version ON shadow_traffic (version_number, id);

CREATE TABLE policy_versions (
    number INTEGER PRIMARY KEY CHECK (number > 0),
    tag TEXT NOT NULL UNIQUE,
    "commit" TEXT NOT NULL UNIQUE,
    parent_number INTEGER REFERENCES policy_versions (number),
    round_number INTEGER NOT NULL REFERENCES rounds (number),
    adapter_hash TEXT NOT NULL,
    metrics TEXT NOT NULL,
    created_at TEXT NOT NULL
);

CREATE TABLE requests (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed', 'cancelled')),
    actor TEXT NOT NULL,
    requested_at TEXT NOT NULL,
    finished_at TEXT,
    result TEXT
);
CREATE INDEX requests_by_state ON requests (state, id);

CREATE TABLE events (
    sequence INTEGER PRIMARY KEY CHECK (sequence > 0),
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE
);

CREATE TRIGGER events_stay BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_remain BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER versions_stay BEFORE UPDATE ON versions
BEGIN SELECT RAISE(ABORT, 'versions are append-only'); END;
CREATE TRIGGER versions_remain BEFORE DELETE ON versions
BEGIN SELECT RAISE(ABORT, 'versions are append-only'); END;
CREATE TRIGGER decisions_stay BEFORE UPDATE ON decisions
BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
CREATE TRIGGER decisions_remain BEFORE DELETE ON decisions
BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
CREATE TRIGGER moves_stay BEFORE UPDATE ON moves
BEGIN SELECT RAISE(ABORT, 'moves are append-only'); END;
CREATE TRIGGER moves_remain BEFORE DELETE ON moves
BEGIN SELECT RAISE(ABORT, 'moves are append-only'); END;
