"""Modal screens: they ask or show something, then close."""
