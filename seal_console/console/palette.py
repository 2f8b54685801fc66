"""The command palette: every action that can be taken here, with its key, and names to jump to."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from textual.command import DiscoveryHit, Hit, Provider

from seal_console.console.help import shown_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from textual.command import Hits


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
