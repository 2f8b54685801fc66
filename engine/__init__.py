"""Everything that touches a model: generation, inner updates, exams, rounds, and what surrounds them."""
