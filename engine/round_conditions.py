"""Under which settings, and on which base, what belongs to a round is done: those that it began with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.settings import Settings
from store.errors import WrongUseError

if TYPE_CHECKING:
    from engine.model.base import BaseModel
    from store.records import Round


def settings_of(current: Round) -> Settings:
    """Return the settings that a round began with; a section that did not exist then has its defaults."""
    kept = {name: current.settings[name] for name in Settings.model_fields if name in current.settings}
    return Settings.model_validate(kept)


def require_base(current: Round, base: BaseModel) -> None:
    """Raise WrongUseError where a round began on another base."""
    began_on = current.settings["base"]
    if began_on != base.described():
        raise WrongUseError(
            f"round {current.number} began on another base: {began_on['name']}",
            next_step="set model.path and model.precision in seal.yaml back to those of the round",
        )
