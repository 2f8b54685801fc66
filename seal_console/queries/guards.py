"""The guards that a workspace has switched off, each with the round since which."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from engine.guardrails.reading import Guardrails, read_guardrails, rules_of_round
from engine.settings.guards import GuardOff, guards_off, since_round
from engine.settings.reading import load_settings, settings_of_round
from store.errors import SealError
from store.rounds import list_rounds
from store.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    from sqlite_utils import Database

    from store.records import Round


@dataclass(frozen=True, slots=True)
class OffSince:
    """A guard that is off, and since when, in words."""

    setting: str
    meaning: str
    since: str

    def __str__(self) -> str:
        """Return it as one sentence."""
        return f"{self.setting}: {self.meaning} ({self.since})"


def guards_off_in(workspace: Workspace, db: Database) -> list[OffSince]:
    """Return the guards that are off now; none if the settings cannot be read: then no round runs."""
    files = (workspace.settings_file, workspace.guardrails_file)
    off, guardrails = _off_now(workspace.root, tuple(_state_of(path) for path in files))
    if not off:
        return []
    rounds = [(one.number, _off_in(one, guardrails)) for one in list_rounds(db, imported=False)]
    return [OffSince(guard.setting, guard.meaning, since_round(guard, rounds)) for guard in off]


@lru_cache(maxsize=8)
def _off_now(root: Path, state: tuple[object, ...]) -> tuple[tuple[GuardOff, ...], Guardrails]:
    """Read the files; `state` says when they have changed."""
    del state
    workspace = Workspace(root)
    try:
        settings = load_settings(workspace.settings_file)
    except SealError:
        return (), Guardrails()
    try:
        guardrails = read_guardrails(workspace)
    except SealError:
        return guards_off(settings, has_guardrails=True), Guardrails()
    return guards_off(settings, has_guardrails=not guardrails.are_empty), guardrails


def _off_in(current: Round, now: Guardrails) -> tuple[GuardOff, ...]:
    try:
        # The guardrails of a round that did not record them are not known: they are not reported as off.
        guardrails = rules_of_round(current, now)
        empty = guardrails is not now and guardrails.are_empty
        return guards_off(settings_of_round(current), has_guardrails=not empty)
    except (SealError, ValueError, KeyError, TypeError):
        return ()  # records of another release, or damaged ones, which verify reports


def _state_of(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
