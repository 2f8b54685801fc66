"""Experiment tracking: what a round reports while it runs, and where that goes."""
