"""The small language model that ships with the engine, and everything that makes it."""
