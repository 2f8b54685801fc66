"""Who writes: the policy on the local model, or a model behind an OpenAI-compatible endpoint."""
