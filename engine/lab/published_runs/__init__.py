"""Published SEAL runs as imported rounds."""
