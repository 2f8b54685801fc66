"""Renders how an inner update was made: its hyperparameters, and how it was protected from forgetting.

Manifests and records in an unknown format are shown unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from store.wording import counted, value_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROTECTION = "protection"
_NAMED = 3  # versions that are named one by one


def render_recipe(hyperparameters: Mapping[str, Any]) -> str:
    """Return every hyperparameter with its name, except the protection."""
    return value_in_words({name: value for name, value in hyperparameters.items() if name != _PROTECTION})


def render_replay(hyperparameters: Mapping[str, Any]) -> str:
    """Return what was replayed in each step, and how; "nothing" if nothing was."""
    protection = hyperparameters.get(_PROTECTION)
    if not protection:
        return "nothing"
    try:
        parts = [*_replayed(protection), *_preconditioner(protection)]
    except (AttributeError, KeyError, TypeError, ValueError):
        return value_in_words(protection)
    return ", ".join(parts) or "nothing"


def _replayed(protection: Mapping[str, Any]) -> list[str]:
    parts = []
    if replayed := protection.get("replayed"):
        parts.append(f"{counted(replayed['sequences'], 'sequence')} of {_versions(replayed['of'])}")
    if _trained_on_anchors(protection):
        parts.append(counted(protection["anchors"]["texts"], "anchor"))
    if found := protection.get("perturbed_anchors") or protection.get("lookalikes"):  # their former name
        parts.append(counted(found["texts"], "perturbed anchor"))
    return parts


def _preconditioner(protection: Mapping[str, Any]) -> list[str]:
    if "curvature" not in protection:
        return []
    rate = float(protection.get("rate", 1.0))
    of = "those anchors" if _trained_on_anchors(protection) else counted(protection["anchors"]["texts"], "anchor")
    where = f"preconditioned by what the base knows of {of}"
    return [where, f"at {rate:.3g} × the rate"] if rate != 1.0 else [where]


def _trained_on_anchors(protection: Mapping[str, Any]) -> bool:
    return bool(protection.get("anchors")) and bool(protection.get("anchor_ratio", 1.0))


def _versions(tags: list[str]) -> str:
    if len(tags) <= _NAMED:
        return ", ".join(map(str, tags))
    return f"{counted(len(tags), 'version')}, {tags[0]} to {tags[-1]}"
