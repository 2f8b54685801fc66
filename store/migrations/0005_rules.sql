-- What a gate that is not passed does: NULL stops the candidate, 'hold' leaves it to a person, 'note' only says so.
ALTER TABLE gates ADD COLUMN on_failure TEXT CHECK (on_failure IN ('hold', 'note'));
