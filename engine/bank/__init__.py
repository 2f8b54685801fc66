"""The bank: many LoRA adapters stacked in slots over one frozen base, trained and examined side by side."""
