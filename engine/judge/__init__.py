"""An external judge of self-edits: what it is asked, how its reply is read, and what becomes of a candidate."""
