"""What is remembered: the SQLite file and the git repository of adapters. Knows neither engine nor console."""
