"""Filter lines that are kept under a name for later and for other users. They can be replaced and deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from store.clock import utc_now
from store.database import execute, transaction
from store.errors import WrongUseError
from store.records import SavedFilter
from store.rows import select, to_row

if TYPE_CHECKING:
    from sqlite_utils import Database


def save_filter(db: Database, name: str, screen: str, text: str, actor: str) -> SavedFilter:
    """Keep a filter line under a name, replacing an earlier one. Raises WrongUseError if the name is empty."""
    if not name.strip():
        raise WrongUseError("A saved filter needs a name.")
    saved = SavedFilter(name.strip(), screen, text, actor, utc_now())
    row = to_row(saved)
    columns, marks = ", ".join(row), ", ".join("?" for _ in row)
    with transaction(db):
        execute(db, f"INSERT OR REPLACE INTO saved_filters ({columns}) VALUES ({marks})", list(row.values()))  # noqa: S608
    return saved


def list_filters(db: Database, screen: str | None = None) -> list[SavedFilter]:
    """Return the filters of a screen, or of all, by name."""
    return select(
        db, SavedFilter, "SELECT * FROM saved_filters WHERE screen = coalesce(?, screen) ORDER BY name", (screen,)
    )


def delete_filter(db: Database, name: str) -> None:
    """Delete a filter. Raises WrongUseError if there is none of this name."""
    with transaction(db):
        if execute(db, "DELETE FROM saved_filters WHERE name = ?", (name,)) == 0:
            known = ", ".join(saved.name for saved in list_filters(db)) or "none"
            raise WrongUseError(f"There is no saved filter {name!r}.", next_step=f"Saved filters: {known}.")
