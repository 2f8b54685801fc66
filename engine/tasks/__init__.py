"""Tasks: contexts with their questions, read from several kinds of file and checked together."""
