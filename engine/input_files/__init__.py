"""Input files: text, YAML and JSON with lines, and validation that names file, line and key."""
