-- What retention suites and anchors measured, by the state of the model: "base", or the hash of an adapter. A version's
-- answers are those of its adapter.

CREATE TABLE retention_answers (
    prompt_hash TEXT NOT NULL,
    model_state TEXT NOT NULL,
    text TEXT NOT NULL,
    score REAL NOT NULL,
    correct INTEGER NOT NULL CHECK (correct IN (0, 1)),
    asked_at TEXT NOT NULL,
    PRIMARY KEY (prompt_hash, model_state)
) WITHOUT ROWID;

CREATE TABLE drift (
    anchors_hash TEXT NOT NULL,
    model_state TEXT NOT NULL,
    mean_kl REAL NOT NULL,
    worst_kl REAL NOT NULL,
    tokens INTEGER NOT NULL CHECK (tokens > 0),
    measured_at TEXT NOT NULL,
    PRIMARY KEY (anchors_hash, model_state)
) WITHOUT ROWID;

CREATE TRIGGER retention_answers_stay BEFORE UPDATE ON retention_answers
BEGIN SELECT RAISE(ABORT, 'retention answers are append-only'); END;
CREATE TRIGGER retention_answers_remain BEFORE DELETE ON retention_answers
BEGIN SELECT RAISE(ABORT, 'retention answers are append-only'); END;
CREATE TRIGGER drift_stays BEFORE UPDATE ON drift
BEGIN SELECT RAISE(ABORT, 'measured drift is append-only'); END;
CREATE TRIGGER drift_remains BEFORE DELETE ON drift
BEGIN SELECT RAISE(ABORT, 'measured drift is append-only'); END;
