-- The queue of engine jobs has the name of what it holds. Rows, and with them the hashes in the events, stay as they are.
ALTER TABLE requests RENAME TO jobs;
DROP INDEX requests_by_state;
CREATE INDEX jobs_by_state ON jobs (state, id);
