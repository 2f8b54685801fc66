"""Commands for measuring and rebuilding what ships with the program; not needed to operate a model."""
