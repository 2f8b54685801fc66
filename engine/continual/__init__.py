"""Continual learning: what an inner update trains in addition to its self-edit, so that it forgets little."""
