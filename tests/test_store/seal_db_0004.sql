BEGIN TRANSACTION;
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
INSERT INTO "answers" VALUES('sha256:0000000000000000000000000000000000000000000000000000000000000001/q0','sha256:0000000000000000000000000000000000000000000000000000000000c00001',0,'after','sha256:d602bbe01c95de8eae4d822d5ebb392b89d3f245a767305916bf443959826acc','30 days',1.0,1);
INSERT INTO "answers" VALUES('sha256:0000000000000000000000000000000000000000000000000000000000000001/q1','sha256:0000000000000000000000000000000000000000000000000000000000c00001',0,'after','sha256:d602bbe01c95de8eae4d822d5ebb392b89d3f245a767305916bf443959826acc','30 days',1.0,1);
INSERT INTO "answers" VALUES('sha256:0000000000000000000000000000000000000000000000000000000000000001/q2','sha256:0000000000000000000000000000000000000000000000000000000000c00001',0,'after','sha256:d602bbe01c95de8eae4d822d5ebb392b89d3f245a767305916bf443959826acc','30 days',1.0,1);
INSERT INTO "answers" VALUES('sha256:0000000000000000000000000000000000000000000000000000000000000001/q3','sha256:0000000000000000000000000000000000000000000000000000000000c00001',0,'after','sha256:d602bbe01c95de8eae4d822d5ebb392b89d3f245a767305916bf443959826acc','30 days',1.0,1);
INSERT INTO "answers" VALUES('sha256:0000000000000000000000000000000000000000000000000000000000000001/q0','sha256:0000000000000000000000000000000000000000000000000000000000c00002',0,'after','sha256:5bb991cc60aed55ce33f9b458a12b740384fcfe610fc20cf45d43823464fbed5','30 days',1.0,1);
INSERT INTO "answers" VALUES('sha256:0000000000000000000000000000000000000000000000000000000000000001/q1','sha256:0000000000000000000000000000000000000000000000000000000000c00002',0,'after','sha256:5bb991cc60aed55ce33f9b458a12b740384fcfe610fc20cf45d43823464fbed5','30 days',1.0,1);
INSERT INTO "answers" VALUES('sha256:0000000000000000000000000000000000000000000000000000000000000001/q2','sha256:0000000000000000000000000000000000000000000000000000000000c00002',0,'after','sha256:5bb991cc60aed55ce33f9b458a12b740384fcfe610fc20cf45d43823464fbed5','30 days',1.0,1);
INSERT INTO "answers" VALUES('sha256:0000000000000000000000000000000000000000000000000000000000000001/q3','sha256:0000000000000000000000000000000000000000000000000000000000c00002',0,'after','sha256:5bb991cc60aed55ce33f9b458a12b740384fcfe610fc20cf45d43823464fbed5','30 days',1.0,1);
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
, derived_from TEXT REFERENCES candidates (id));
INSERT INTO "candidates" VALUES('sha256:0000000000000000000000000000000000000000000000000000000000c00001',1,'sha256:0000000000000000000000000000000000000000000000000000000000000001',1,'train','implications','List implications]0;x of the passage.','# Not a heading
1. Acme ships in 30 days.','{"temperature":1.0}',1,'rejected','2026-11-23T05:22:28.652Z','["Acme\n1. Acme ships in 30 days.","Acme\nAcme ships in 30 days."]',NULL,NULL,0.5,0.1,0.25,'sha256:d602bbe01c95de8eae4d822d5ebb392b89d3f245a767305916bf443959826acc',0,NULL);
INSERT INTO "candidates" VALUES('sha256:0000000000000000000000000000000000000000000000000000000000c00002',1,'sha256:0000000000000000000000000000000000000000000000000000000000000001',2,'train','implications','List implications]0;x of the passage.','# Not a heading
1. Acme ships in 30 days.','{"temperature":1.0}',2,'refused','2026-11-23T05:22:28.682Z','["Acme\n1. Acme ships in 30 days.","Acme\nAcme ships in 30 days."]',NULL,NULL,0.5,0.1,0.25,'sha256:5bb991cc60aed55ce33f9b458a12b740384fcfe610fc20cf45d43823464fbed5',0,NULL);
INSERT INTO "candidates" VALUES('sha256:0000000000000000000000000000000000000000000000000000000000c00003',1,'sha256:0000000000000000000000000000000000000000000000000000000000000001',3,'train','implications','List implications]0;x of the passage.','# Not a heading
1. Acme ships in 30 days.','{"temperature":1.0}',3,'proposed','2026-11-23T05:22:28.690Z','["Acme\n1. Acme ships in 30 days.","Acme\nAcme ships in 30 days."]',NULL,NULL,NULL,NULL,NULL,NULL,0,NULL);
CREATE TABLE "decisions" (
    id INTEGER PRIMARY KEY,
    candidate_id TEXT NOT NULL REFERENCES candidates (id),
    action TEXT NOT NULL CHECK (action IN ('accept', 'reject', 'defer', 'undo')),
    actor TEXT NOT NULL CHECK (actor <> ''),
    reason TEXT NOT NULL CHECK (reason <> ''),
    decided_at TEXT NOT NULL
);
INSERT INTO "decisions" VALUES(1,'sha256:0000000000000000000000000000000000000000000000000000000000c00001','reject','Ada','no','2026-11-23T05:22:28.691Z');
CREATE TABLE documents (
    id TEXT PRIMARY KEY,
    path TEXT NOT NULL,
    title TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    added_at TEXT NOT NULL
);
CREATE TABLE drift (
    anchors_hash TEXT NOT NULL,
    model_state TEXT NOT NULL,
    mean_kl REAL NOT NULL,
    worst_kl REAL NOT NULL,
    tokens INTEGER NOT NULL CHECK (tokens > 0),
    measured_at TEXT NOT NULL,
    PRIMARY KEY (anchors_hash, model_state)
) WITHOUT ROWID;
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY CHECK (sequence > 0),
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE
);
INSERT INTO "events" VALUES(1,'2026-11-23T05:22:28.633Z','tasks.added','{"hashes":{"sha256:0000000000000000000000000000000000000000000000000000000000000001":"sha256:deab5353b77fa5e40496d1ff3fcb042bbe15b01eb3db5ecfce4fe44ef8c33d51"}}','sha256:0000000000000000000000000000000000000000000000000000000000000000','sha256:cefbde8e351c35c1caeea1c885f7bfc6c89b206ef816d72250d04e8f373024ce');
INSERT INTO "events" VALUES(2,'2026-11-23T05:22:28.643Z','round.started','{"hash":"sha256:ebae4ae06086a64560c0aa0e0b21255f40d30b005736b138d313f720298c33db","number":1}','sha256:cefbde8e351c35c1caeea1c885f7bfc6c89b206ef816d72250d04e8f373024ce','sha256:f1fa5ded1965b40cf273a092ba6d11c3c0cf55028d036c9abb16c43853752417');
INSERT INTO "events" VALUES(3,'2026-11-23T05:22:28.653Z','candidates.added','{"hashes":{"sha256:0000000000000000000000000000000000000000000000000000000000c00001":"sha256:1e43442400e2d2b2f94d1763ea2da204872495e9601dc20507836285bddec844"}}','sha256:f1fa5ded1965b40cf273a092ba6d11c3c0cf55028d036c9abb16c43853752417','sha256:bae37428a73966cc407fef514e78b8ba3c5bb2aaf48ab6d97355593d4319442c');
INSERT INTO "events" VALUES(4,'2026-11-23T05:22:28.678Z','candidate.examined','{"hash":"sha256:94ab144918e5726b5c1df6bd3c5e948cdb291bce1c8655ba564cd684be017a8c","id":"sha256:0000000000000000000000000000000000000000000000000000000000c00001","state":"examined"}','sha256:bae37428a73966cc407fef514e78b8ba3c5bb2aaf48ab6d97355593d4319442c','sha256:4d23adb050b49717146e063474b3dd333561c9db090c8124a5caeaab3948cc12');
INSERT INTO "events" VALUES(5,'2026-11-23T05:22:28.682Z','candidates.added','{"hashes":{"sha256:0000000000000000000000000000000000000000000000000000000000c00002":"sha256:cfe50670c0c76ffd170730629d619cbd4564d41bdb9fa13274ac1da823f0e8ba"}}','sha256:4d23adb050b49717146e063474b3dd333561c9db090c8124a5caeaab3948cc12','sha256:40e162f8dcdc1e4d2992f57ac22e6c3cf043f033c338a8443792f4a0d338be1b');
INSERT INTO "events" VALUES(6,'2026-11-23T05:22:28.687Z','candidate.examined','{"hash":"sha256:ac60fee385a5d6eaf8c1df15733dba4c8cc189cd3c22936f7ba295d1a3ecf388","id":"sha256:0000000000000000000000000000000000000000000000000000000000c00002","state":"refused"}','sha256:40e162f8dcdc1e4d2992f57ac22e6c3cf043f033c338a8443792f4a0d338be1b','sha256:1300aba4c3725de2b8cf63ea3e3399d80076c771dfe4a2beaaa505c38a6dbb51');
INSERT INTO "events" VALUES(7,'2026-11-23T05:22:28.690Z','candidates.added','{"hashes":{"sha256:0000000000000000000000000000000000000000000000000000000000c00003":"sha256:850d521b44f5ccf297b4facbe696df1478bc1862e6919f80a564bad744d661e9"}}','sha256:1300aba4c3725de2b8cf63ea3e3399d80076c771dfe4a2beaaa505c38a6dbb51','sha256:54b12035b9ebb78000e4894767e3ccc27429fd655f8e78dfc7d6b945e77fee89');
INSERT INTO "events" VALUES(8,'2026-11-23T05:22:28.691Z','candidate.rejected','{"decision":{"action":"reject","actor":"Ada","candidate_id":"sha256:0000000000000000000000000000000000000000000000000000000000c00001","decided_at":"2026-11-23T05:22:28.691Z","reason":"no"}}','sha256:54b12035b9ebb78000e4894767e3ccc27429fd655f8e78dfc7d6b945e77fee89','sha256:bbef6625fdd676e5c9573eed5f4e3cf9263a6b9825ced275f09d344465193dce');
CREATE TABLE gates (
    candidate_id TEXT NOT NULL REFERENCES candidates (id),
    gate TEXT NOT NULL,
    passed INTEGER NOT NULL CHECK (passed IN (0, 1)),
    evidence TEXT NOT NULL,
    decided_at TEXT NOT NULL,
    PRIMARY KEY (candidate_id, gate)
) WITHOUT ROWID;
INSERT INTO "gates" VALUES('sha256:0000000000000000000000000000000000000000000000000000000000c00001','audit',1,'{"gain":0.5}','2026-11-23T05:22:28.675Z');
INSERT INTO "gates" VALUES('sha256:0000000000000000000000000000000000000000000000000000000000c00002','audit',0,'{"gain":0.5}','2026-11-23T05:22:28.686Z');
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
INSERT INTO "inner_updates" VALUES('sha256:0000000000000000000000000000000000000000000000000000000000c00001',0,3,'{"lr":0.001}',10,200,0.5,'[2.0,1.0]','sha256:d602bbe01c95de8eae4d822d5ebb392b89d3f245a767305916bf443959826acc','2026-11-23T05:22:28.675Z');
INSERT INTO "inner_updates" VALUES('sha256:0000000000000000000000000000000000000000000000000000000000c00002',0,3,'{"lr":0.001}',10,200,0.5,'[2.0,1.0]','sha256:5bb991cc60aed55ce33f9b458a12b740384fcfe610fc20cf45d43823464fbed5','2026-11-23T05:22:28.686Z');
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
CREATE TABLE migrations (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL, applied_at TEXT NOT NULL);
INSERT INTO "migrations" VALUES(1,'initial','sha256:79321c82e71920edab333c007389f098d6f1a5a9ca0eab6eead0ffdfe9d8b4aa','2026-11-23T05:22:28.177Z');
INSERT INTO "migrations" VALUES(2,'console','sha256:e6eb04f50a6cdfad5c7726c83175d4fba78570e5b760ae5821e5bd47fe0a6313','2026-11-23T05:22:28.191Z');
INSERT INTO "migrations" VALUES(3,'console_speed','sha256:8d44ff1979373566719f96f0a77875db45d770de0ea99972c19a4b95bff53df3','2026-11-23T05:22:28.193Z');
INSERT INTO "migrations" VALUES(4,'retention','sha256:058c935433adf1ab7506d274a14f70443c5b7457ca6562e98919b08d1f6c223d','2026-11-23T05:22:28.199Z');
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
INSERT INTO "questions" VALUES('sha256:0000000000000000000000000000000000000000000000000000000000000001/q0','sha256:0000000000000000000000000000000000000000000000000000000000000001',0,'What is 0?','["0","∅"]','exact','{"case":false}','reward');
INSERT INTO "questions" VALUES('sha256:0000000000000000000000000000000000000000000000000000000000000001/q1','sha256:0000000000000000000000000000000000000000000000000000000000000001',1,'What is 1?','["1","∅"]','exact','{"case":false}','audit');
INSERT INTO "questions" VALUES('sha256:0000000000000000000000000000000000000000000000000000000000000001/q2','sha256:0000000000000000000000000000000000000000000000000000000000000001',2,'What is 2?','["2","∅"]','exact','{"case":false}','reward');
INSERT INTO "questions" VALUES('sha256:0000000000000000000000000000000000000000000000000000000000000001/q3','sha256:0000000000000000000000000000000000000000000000000000000000000001',3,'What is 3?','["3","∅"]','exact','{"case":false}','audit');
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
CREATE TABLE retention_answers (
    prompt_hash TEXT NOT NULL,
    model_state TEXT NOT NULL,
    text TEXT NOT NULL,
    score REAL NOT NULL,
    correct INTEGER NOT NULL CHECK (correct IN (0, 1)),
    asked_at TEXT NOT NULL,
    PRIMARY KEY (prompt_hash, model_state)
) WITHOUT ROWID;
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
INSERT INTO "rounds" VALUES(1,'running',7,'{"k":5}','2026-11-23T05:22:28.642Z',NULL,NULL,NULL,NULL,NULL,0);
CREATE TABLE saved_filters (
    name TEXT PRIMARY KEY CHECK (name <> ''),
    screen TEXT NOT NULL,
    text TEXT NOT NULL,
    saved_by TEXT NOT NULL,
    saved_at TEXT NOT NULL
);
CREATE TABLE shadow_traffic (
    id INTEGER PRIMARY KEY,
    version_number INTEGER NOT NULL REFERENCES versions (number),
    prompt TEXT NOT NULL,
    live_answer TEXT NOT NULL,
    shadow_answer TEXT NOT NULL,
    agrees INTEGER NOT NULL CHECK (agrees IN (0, 1)),
    answered_at TEXT NOT NULL
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
INSERT INTO "tasks" VALUES('sha256:0000000000000000000000000000000000000000000000000000000000000001','Acme 1','Acme ships in 30 days.','acme.md','2026-11-23T05:22:28.632Z',0,NULL);
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
CREATE INDEX tasks_of_document ON tasks (document_id);
CREATE UNIQUE INDEX one_open_round ON rounds (imported) WHERE state IN ('running', 'interrupted') AND imported = 0;
CREATE INDEX candidates_of_round ON candidates (round_number, role, task_id, position);
CREATE INDEX candidates_of_task ON candidates (task_id, position);
CREATE INDEX candidates_by_state ON candidates (state, round_number);
CREATE UNIQUE INDEX answers_of_candidate ON answers (candidate_id, question_id, repeat, phase)
    WHERE candidate_id IS NOT NULL;
CREATE UNIQUE INDEX answers_of_untouched ON answers (question_id, model_state) WHERE candidate_id IS NULL;
CREATE INDEX moves_of_name ON moves (name, id);
CREATE INDEX shadow_traffic_of_version ON shadow_traffic (version_number, id);
CREATE INDEX requests_by_state ON requests (state, id);
CREATE TRIGGER events_stay BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_remain BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER versions_stay BEFORE UPDATE ON versions
BEGIN SELECT RAISE(ABORT, 'versions are append-only'); END;
CREATE TRIGGER versions_remain BEFORE DELETE ON versions
BEGIN SELECT RAISE(ABORT, 'versions are append-only'); END;
CREATE TRIGGER moves_stay BEFORE UPDATE ON moves
BEGIN SELECT RAISE(ABORT, 'moves are append-only'); END;
CREATE TRIGGER moves_remain BEFORE DELETE ON moves
BEGIN SELECT RAISE(ABORT, 'moves are append-only'); END;
CREATE INDEX decisions_of_candidate ON decisions (candidate_id, id);
CREATE INDEX decisions_of_actor ON decisions (actor, id);
CREATE TRIGGER decisions_stay BEFORE UPDATE ON decisions
BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
CREATE TRIGGER decisions_remain BEFORE DELETE ON decisions
BEGIN SELECT RAISE(ABORT, 'decisions are append-only'); END;
CREATE INDEX candidates_derived ON candidates (derived_from) WHERE derived_from IS NOT NULL;
CREATE INDEX candidates_in_review ON candidates (imported, state, reward_mean);
CREATE INDEX candidates_of_e_step ON candidates (round_number, reward_mean, state, task_id)
    WHERE role = 'train' AND derived_from IS NULL;
CREATE INDEX candidates_of_task_by_reward ON candidates (task_id, reward_mean);
CREATE TRIGGER retention_answers_stay BEFORE UPDATE ON retention_answers
BEGIN SELECT RAISE(ABORT, 'retention answers are append-only'); END;
CREATE TRIGGER retention_answers_remain BEFORE DELETE ON retention_answers
BEGIN SELECT RAISE(ABORT, 'retention answers are append-only'); END;
CREATE TRIGGER drift_stays BEFORE UPDATE ON drift
BEGIN SELECT RAISE(ABORT, 'measured drift is append-only'); END;
CREATE TRIGGER drift_remains BEFORE DELETE ON drift
BEGIN SELECT RAISE(ABORT, 'measured drift is append-only'); END;
COMMIT;
