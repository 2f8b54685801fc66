-- What the base loses of a suite by nothing but other batches: measured once for each set of prompts and the conditions
-- under which they are answered (base, precision, form, token limit).
CREATE TABLE suite_noise (
    prompts_hash TEXT NOT NULL,
    conditions_hash TEXT NOT NULL,
    base_fingerprint TEXT NOT NULL,
    suite TEXT NOT NULL,
    prompts INTEGER NOT NULL CHECK (prompts > 0),
    right_answers INTEGER NOT NULL CHECK (right_answers BETWEEN 0 AND prompts),
    lost INTEGER NOT NULL CHECK (lost BETWEEN 0 AND prompts),
    askings INTEGER NOT NULL CHECK (askings > 1),
    measured_at TEXT NOT NULL,
    PRIMARY KEY (prompts_hash, conditions_hash)
) WITHOUT ROWID;

CREATE TRIGGER suite_noise_stays BEFORE UPDATE ON suite_noise
BEGIN SELECT RAISE(ABORT, 'measured noise is append-only'); END;
CREATE TRIGGER suite_noise_remains BEFORE DELETE ON suite_noise
BEGIN SELECT RAISE(ABORT, 'measured noise is append-only'); END;
