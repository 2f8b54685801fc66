-- Answers without a candidate belong to the base model that gave them, alone or under an adapter: with another base in
-- seal.yaml they do not count. Answers that are older than this column belong to no known base.
ALTER TABLE answers ADD COLUMN base_fingerprint TEXT;

DROP INDEX answers_of_untouched;
CREATE UNIQUE INDEX answers_of_untouched ON answers (question_id, model_state, coalesce(base_fingerprint, ''))
    WHERE candidate_id IS NULL;
