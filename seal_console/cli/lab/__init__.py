"""Commands for measuring and rebuilding what the program ships; nobody needs them to operate a model."""
