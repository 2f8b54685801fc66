"""Settings: the sections of seal.yaml and how the file is read."""
