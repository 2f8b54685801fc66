"""Self-edits: the prompts that ask for them, and the training sequences that they are compiled to."""
