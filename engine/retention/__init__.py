"""What an update must not harm: suites of known answers, earlier edits, and the forgetting matrix."""
