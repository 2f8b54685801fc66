"""Presets: settings that suit a size and kind of model. `init` chooses one and writes it into seal.yaml, and says why.

A preset is only a starting point: every value stands in the file and may be changed there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Preset:
    """Values that differ from the defaults, by section and key, with what they are for and where they come from.

    `largest` is the number of parameters up to which `init` chooses it; None: only by name.
    """

    name: str
    about: str
    source: str
    largest: int | None
    values: Mapping[str, Mapping[str, Any]]


_PAPER_UPDATE = {"rank": 32, "alpha": 64, "learning_rate": 1e-3, "epochs": 10}
_PAPER_POLICY = {"rank": 64, "alpha": 128, "learning_rate": 3e-4, "epochs": 2}

PRESETS = (
    Preset("bundled", "for the bundled model", "measured: docs/experiments.md", 50_000_000, {}),
    Preset(
        "small",
        "for instruct models of 100 to 500 million parameters",
        "measured on SmolLM2-135M-Instruct: docs/experiments.md",
        700_000_000,
        {
            "self_edit": {"temperature": 0.7, "max_new_tokens": 256},
            # Unprotected, one update costs half of what general suites are answered right (docs/experiments.md).
            "inner_update": {"epochs": 8, "batch_size": 2, "learning_rate": 1e-3},
            "protection": {"anchor_ratio": 2.0},
            "policy_training": {"learning_rate": 5e-4, "epochs": 2},
            "exam": {"max_new_tokens": 32},
        },
    ),
    Preset(
        "1-3b",
        "for models of 1 to 3 billion parameters",
        "not measured here: SEAL's recipe for 7B (arXiv 2506.10943) with a lower rank",
        4_000_000_000,
        {
            "self_edit": {"max_new_tokens": 512},
            "inner_update": {"learning_rate": 1e-3},
            "policy_training": {**_PAPER_POLICY, "rank": 32, "alpha": 64},
            "exam": {"max_new_tokens": 48},
        },
    ),
    Preset(
        "7b",
        "for models of 7 billion parameters and more",
        "not measured here: SEAL's recipe for Qwen2.5-7B (arXiv 2506.10943, appendix B)",
        10**15,
        {
            "self_edit": {"max_new_tokens": 1024},
            "inner_update": _PAPER_UPDATE,
            "policy_training": _PAPER_POLICY,
            "exam": {"max_new_tokens": 64},
        },
    ),
    Preset(
        "paper",
        "SEAL's protocol as published, for comparison",
        "not measured here: arXiv 2506.10943, appendix B, with its selection and its splitting of self-edits",
        None,
        {
            "self_edit": {"splitting": "paper", "max_new_tokens": 1024},
            "inner_update": {**_PAPER_UPDATE, "repeats": 3, "target_modules": ["q_proj", "v_proj"]},
            "round": {"selection": "paper", "tasks_per_round": 50},
            "policy_training": _PAPER_POLICY,
            "exam": {"max_new_tokens": 64},
        },
    ),
)
PRESET_NAMES = tuple(preset.name for preset in PRESETS)


def preset_named(name: str) -> Preset:
    """Return a preset; raises KeyError for an unknown name."""
    return {preset.name: preset for preset in PRESETS}[name]


def preset_for(parameters: int) -> Preset:
    """Return the preset for a model of that many parameters."""
    return next(preset for preset in PRESETS if preset.largest is not None and parameters <= preset.largest)
