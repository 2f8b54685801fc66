"""Text from the base under many adapters at once, with a key-value cache."""
