"""Graders: they decide whether an answer is correct. Plug-ins can add more."""
