-- What was measured of finished rounds, the alarms that these figures raised, and who cleared them, why.

CREATE TABLE round_measures (
    round_number INTEGER PRIMARY KEY REFERENCES rounds (number),
    measures TEXT NOT NULL,
    measured_at TEXT NOT NULL
);

CREATE TABLE alarms (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL CHECK (name <> ''),
    round_number INTEGER NOT NULL REFERENCES rounds (number),
    evidence TEXT NOT NULL,
    raised_at TEXT NOT NULL,
    UNIQUE (round_number, name)
);

CREATE TABLE alarm_clearings (
    alarm_id INTEGER PRIMARY KEY REFERENCES alarms (id),
    actor TEXT NOT NULL CHECK (actor <> ''),
    reason TEXT NOT NULL CHECK (reason <> ''),
    cleared_at TEXT NOT NULL
);

CREATE TRIGGER round_measures_stay BEFORE UPDATE ON round_measures
BEGIN SELECT RAISE(ABORT, 'measures of rounds are append-only'); END;
CREATE TRIGGER round_measures_remain BEFORE DELETE ON round_measures
BEGIN SELECT RAISE(ABORT, 'measures of rounds are append-only'); END;
CREATE TRIGGER alarms_stay BEFORE UPDATE ON alarms
BEGIN SELECT RAISE(ABORT, 'alarms are append-only'); END;
CREATE TRIGGER alarms_remain BEFORE DELETE ON alarms
BEGIN SELECT RAISE(ABORT, 'alarms are append-only'); END;
CREATE TRIGGER alarm_clearings_stay BEFORE UPDATE ON alarm_clearings
BEGIN SELECT RAISE(ABORT, 'clearings of alarms are append-only'); END;
CREATE TRIGGER alarm_clearings_remain BEFORE DELETE ON alarm_clearings
BEGIN SELECT RAISE(ABORT, 'clearings of alarms are append-only'); END;
