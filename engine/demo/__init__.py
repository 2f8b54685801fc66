"""The demonstration: the whole loop on the bundled model, in a fresh workspace."""
