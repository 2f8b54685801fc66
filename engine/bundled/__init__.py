"""The small language model that ships with the engine, and the made-up world that it knows."""

BUNDLED = "bundled"  # the name of this model in settings, in place of a folder
