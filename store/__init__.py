"""Persistent state: the SQLite file and the git repository of adapters. Imports neither engine nor console."""
