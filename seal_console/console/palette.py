"""The command palette: every action that can be taken here, with its key, and names to jump to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast

from textual.command import DiscoveryHit, Hit, Provider
from textual.message import Message

from seal_console.console.content import safe_line
from seal_console.console.help import format_keys, own_actions
from store.database import fetch
from store.sanitize import sanitize_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlite_utils import Database
    from textual.command import Hits

    from seal_console.console.console_base import ConsoleBase


_LONGEST = 80
_NAMED = 0.5  # below commands with a good match


class ConsoleCommands(Provider):
    """Actions of the focused widget, the screen and the application, and versions by their names."""

    async def discover(self) -> Hits:
        """Everything, before anything is typed."""
        for words, run, help_text in self._commands():
            yield DiscoveryHit(words, run, help=help_text)

    async def search(self, query: str) -> Hits:
        """Yield the commands and targets that match the query."""
        matcher = self.matcher(query)
        for words, run, help_text in self._commands():
            score = matcher.match(words)
            if score > 0:
                yield Hit(score, matcher.highlight(words), run, help=help_text)

        console = cast("ConsoleBase", self.app)
        for target in await console.reader.read(lambda db: jump_targets(db, query)):
            words = f"Go to {target.kind} {sanitize_line(target.words, _LONGEST)}"
            yield Hit(_NAMED, safe_line(words), partial(console.post_message, JumpRequested(target)), text=words)

    def _commands(self) -> Iterator[tuple[str, Callable[[], Any], str]]:
        seen: set[str] = set()
        for node, binding, _, _ in self.screen.active_bindings.values():
            is_ours = binding.id or binding.action in own_actions(type(node))
            if not (is_ours and binding.description) or binding.action in {*seen, "command_palette"}:
                continue
            seen.add(binding.action)
            yield (
                f"{binding.description} ({format_keys(binding)})",
                partial(self.app.run_action, binding.action, node),
                binding.tooltip or "",
            )


_ID_LENGTH = 12
_LEAST = 2


@dataclass(frozen=True, slots=True)
class JumpTarget:
    """Something with a name; `identity` is a version's number, a task's title or a candidate's id."""

    kind: Literal["version", "task", "candidate"]
    identity: str
    words: str


class JumpRequested(Message):
    """The operator chose a target in the palette."""

    def __init__(self, target: JumpTarget) -> None:
        super().__init__()
        self.target = target


def jump_targets(db: Database, text: str, limit: int = 8) -> list[JumpTarget]:
    """Return targets whose names match, at most `limit` of each kind; none for less than two characters."""
    name = text.strip()
    if len(name) < _LEAST:
        return []
    like = name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    versions = fetch(
        db, "SELECT number, tag, reason FROM versions WHERE tag LIKE ? ESCAPE '\\' LIMIT ?", (f"%{like}%", limit)
    )
    tasks = fetch(db, "SELECT title FROM tasks WHERE title LIKE ? ESCAPE '\\' LIMIT ?", (f"%{like}%", limit))
    prefix = name.removeprefix("sha256:")
    candidates = fetch(
        db,
        "SELECT candidates.id, tasks.title FROM candidates JOIN tasks ON tasks.id = candidates.task_id "
        "WHERE candidates.id >= ? AND candidates.id < ? LIMIT ?",
        (f"sha256:{prefix}", f"sha256:{prefix}g", limit),  # "g" comes after every hexadecimal digit
    )
    return [
        *(JumpTarget("version", str(row["number"]), f"{row['tag']}: {row['reason']}") for row in versions),
        *(JumpTarget("task", row["title"], row["title"]) for row in tasks),
        *(
            JumpTarget("candidate", row["id"], f"{row['id'].removeprefix('sha256:')[:_ID_LENGTH]} of {row['title']}")
            for row in candidates
        ),
    ]
