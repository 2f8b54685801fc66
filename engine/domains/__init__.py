"""What a task asks, what a self-edit may be, and how it becomes training data: one package for each domain."""
