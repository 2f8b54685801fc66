"""What an update must not harm: suites of known answers, earlier edits, likelihood drift, and their gates."""
