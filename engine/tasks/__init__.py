"""Tasks: contexts with their questions, read from files of several forms and checked as a whole."""
