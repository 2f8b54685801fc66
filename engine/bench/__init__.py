"""Measurements of the engine against other ways to do the same work."""
