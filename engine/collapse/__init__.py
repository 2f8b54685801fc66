"""The experiment on self-training with a reward that nobody measured: majority vote, and what becomes of it."""
