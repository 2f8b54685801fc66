"""The command line and the console: they show, ask and call. Knows no torch."""
