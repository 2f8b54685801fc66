"""`bench console`: how fast the console answers, in a real terminal, over a large store, with and without an engine."""
