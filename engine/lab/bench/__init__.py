"""Benchmarks of the bank of inner updates against other methods, side by side in one run."""
