-- Where in each training sequence the loss begins, as a domain may leave the start of a text out of it. [] is all of every
-- sequence, which is what all candidates before this column were trained on.
ALTER TABLE candidates ADD COLUMN loss_starts TEXT NOT NULL DEFAULT '[]';
