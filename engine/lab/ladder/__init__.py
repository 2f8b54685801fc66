"""The experiment that asks, rung by rung, how much of a passage a model learns from what."""
