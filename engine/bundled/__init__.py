"""The small language model that ships with the engine, and the made-up world that it knows."""
