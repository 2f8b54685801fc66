"""Everything that touches a model: generation, inner updates, exams, gates, rounds, and the process that runs them."""
