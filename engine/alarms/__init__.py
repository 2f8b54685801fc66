"""Alarms for the collapse of self-training: what is measured of a round, and when that is alarming."""
