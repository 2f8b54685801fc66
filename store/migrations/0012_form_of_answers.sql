-- How the question of an answer was put to the model (chat, few-shot); NULL is plainly, as all were before this column.
-- An answer without a candidate counts only for the form in which it was given.
ALTER TABLE answers ADD COLUMN form TEXT;

-- Whether the token limit cut the answer off. Answers before this column do not say.
ALTER TABLE answers ADD COLUMN cut INTEGER NOT NULL DEFAULT 0;
ALTER TABLE retention_answers ADD COLUMN cut INTEGER NOT NULL DEFAULT 0;

DROP INDEX answers_of_untouched;
CREATE UNIQUE INDEX answers_of_untouched
    ON answers (question_id, model_state, coalesce(base_fingerprint, ''), coalesce(form, ''))
    WHERE candidate_id IS NULL;
