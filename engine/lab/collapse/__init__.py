"""The experiment on the collapse of self-training."""
