"""The engine as a running process: its lock, its progress, its crash reports, and how it treats the machine."""
