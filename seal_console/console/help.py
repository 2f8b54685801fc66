"""Help for the current screen: its purpose and every key that works there, made from the bindings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.binding import Binding

from seal_console.console.content import assemble, lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.content import Content
    from textual.screen import Screen

_KEYS = {
    "question_mark": "?", "slash": "/", "pagedown": "page down", "pageup": "page up", "left_square_bracket": "[",
    "right_square_bracket": "]", "underscore": "_", "asterisk": "*", "escape": "esc",
}  # fmt: skip

_TITLES = {
    "PagedTable": "Table", "CandidatePane": "Candidate", "DetailPane": "Text", "LongText": "Text",
    "HeatMap": "Matrix", "FilterInput": "Filter", "SafeInput": "Text field",
    "ConsoleApp": "Everywhere",
}  # fmt: skip


def help_for(screen: Screen[Any]) -> Content:
    """Return the help for a screen and its focused widget."""
    purpose = getattr(screen, "HELP", "")
    rows: list[Content | str] = [purpose, ""] if purpose else []
    for title, bindings in _groups(screen):
        rows.append(assemble((title, "bold")))
        rows += [assemble((f"  {format_keys(one):<22}", "$text-accent"), _meaning(one)) for one in bindings]
        rows.append("")
    return lines(*rows)


def format_keys(binding: Binding) -> str:
    """Return a binding's keys in readable form."""
    if binding.key_display:
        return binding.key_display
    return ", ".join(_KEYS.get(key, key) for key in binding.key.split(","))


def _groups(screen: Screen[Any]) -> Iterator[tuple[str, list[Binding]]]:
    seen: set[tuple[str, str]] = set()
    nodes: list[Any] = [screen.focused] if screen.focused is not None else []
    nodes += list(screen.focused.ancestors if screen.focused else [screen])
    if screen not in nodes:
        nodes.append(screen)
    for node in nodes:
        bindings = []
        own = own_actions(type(node))
        for keys in node._bindings.key_to_bindings.values():  # noqa: SLF001 - Textual has no public list of bindings
            for binding in keys:
                mark = (binding.action, binding.key)
                if (binding.id or binding.action in own) and binding.description and mark not in seen:
                    seen.add(mark)
                    bindings.append(binding)
        if bindings:
            yield _TITLES.get(type(node).__name__, type(node).__name__.removesuffix("Screen")), _merged(bindings)


def own_actions(node_class: type) -> set[str]:
    """Return the actions bound by the console's own classes, without those inherited from Textual."""
    own = [one for one in node_class.__mro__ if one.__module__.startswith("seal_console.")]
    bound = [binding for one in own for binding in one.__dict__.get("BINDINGS", ())]
    return {binding.action for binding in bound if isinstance(binding, Binding)}


def _merged(bindings: list[Binding]) -> list[Binding]:
    by_action: dict[str, list[Binding]] = {}
    for one in bindings:
        by_action.setdefault(one.action, []).append(one)
    return [
        Binding(",".join(dict.fromkeys(one.key for one in same)), action, same[0].description, key_display=None,
                tooltip=same[0].tooltip)
        for action, same in by_action.items()
    ]  # fmt: skip


def _meaning(binding: Binding) -> str:
    return f"{binding.description}: {binding.tooltip}" if binding.tooltip else binding.description
