"""The engine's process: the operations it can run, and the queue of jobs that consoles fill."""
