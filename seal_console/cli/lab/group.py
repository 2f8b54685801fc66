"""`lab`: benchmarks, experiments, the bundled model's training and imports of published runs."""

from __future__ import annotations

from seal_console.cli.command import SealGroup
from seal_console.cli.lab.bench import bench
from seal_console.cli.lab.bench_busy import busy
from seal_console.cli.lab.experiment import experiment
from seal_console.cli.lab.import_seal import import_group
from seal_console.cli.lab.ladder import ladder
from seal_console.cli.lab.model import model
from seal_console.cli.lab.racing import racing

bench.add_command(busy)

lab = SealGroup(
    "lab",
    short_help="Benchmarks, experiments and published runs.",
    help="Measure the engine and its methods, rebuild the bundled model, import published SEAL runs.",
    examples=("seal-console lab bench inner", "seal-console lab experiment collapse"),
    commands=[bench, experiment, ladder, model, import_group, racing],
)
