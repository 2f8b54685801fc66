"""The frozen base model: where it comes from, and the device and precision that it runs in."""
