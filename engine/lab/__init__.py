"""What operators do not need: benchmarks, experiments, training of the bundled model, import of published SEAL runs."""
