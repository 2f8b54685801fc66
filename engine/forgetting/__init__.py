"""The experiment of the paper's figure on forgetting: many edits in a row, and what is left of each."""
