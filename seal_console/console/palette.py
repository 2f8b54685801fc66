"""The command palette: every action that can be taken here, with its key, and names to jump to."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from textual.command import DiscoveryHit, Hit, Provider

from seal_console.console.help import shown_keys
from seal_console.console.safe_content import safe_line
from seal_console.queries.jump import jump_targets
from store.sanitize import sanitize_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from textual.command import Hits

    from seal_console.console.app import ConsoleApp

_LONGEST = 80
_NAMED = 0.5  # below commands whose name fits well


class ConsoleCommands(Provider):
    """Actions of the focused widget, the screen and the application, and versions by their names."""

    async def discover(self) -> Hits:
        """Everything, before anything is typed."""
        for words, run, help_text in self._commands():
            yield DiscoveryHit(words, run, help=help_text)

    async def search(self, query: str) -> Hits:
        """What fits the words typed."""
        matcher = self.matcher(query)
        for words, run, help_text in self._commands():
            score = matcher.match(words)
            if score > 0:
                yield Hit(score, matcher.highlight(words), run, help=help_text)

        console = cast("ConsoleApp", self.app)
        for target in await console.reader.read(lambda db: jump_targets(db, query)):
            words = f"Go to {target.kind} {sanitize_line(target.words, _LONGEST)}"
            yield Hit(_NAMED, safe_line(words), partial(console.go_to, target), text=words)

    def _commands(self) -> Iterator[tuple[str, Callable[[], Any], str]]:
        seen: set[str] = set()
        for node, binding, _, _ in self.screen.active_bindings.values():
            if not binding.description or binding.action in seen or binding.action == "command_palette":
                continue
            seen.add(binding.action)
            yield (
                f"{binding.description} ({shown_keys(binding)})",
                partial(self.app.run_action, binding.action, node),
                binding.tooltip or "",
            )
