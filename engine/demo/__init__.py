"""The demonstration: the whole job on the bundled model, in a fresh workspace."""
