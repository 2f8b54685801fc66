"""Where the model's work is done: the port, and the executor that runs in this process."""
