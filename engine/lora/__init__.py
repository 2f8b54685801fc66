"""LoRA adapters as values: their shape, their weights, and the PEFT files that hold them."""
