"""The experiment on forgetting after many edits in a row."""
