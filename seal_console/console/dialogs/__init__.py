"""Screens that lie over another one: they ask, or show, and go."""
