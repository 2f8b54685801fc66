"""Alarms for the collapse of self-training: the measures of a round, and when they raise an alarm."""
