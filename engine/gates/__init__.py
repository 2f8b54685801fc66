"""Gates: what a candidate must pass before it is trained on, and before it may be accepted."""
