"""Policy rules: what must not get into training, judged before anything is trained on it."""
