"""Read models: what a screen shows, as queries and plain data. They know neither Textual nor the engine's process."""
