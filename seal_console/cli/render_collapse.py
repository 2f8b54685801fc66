"""The figures of `experiment collapse` as a page: both arms round by round, and the alarms that were raised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seal_console.format import gain, percent, show_text, table

if TYPE_CHECKING:
    from seal_console.cli.output import Output

_HEADERS = ("round", "agreement", "held out", "audit", "reward", "different pairs", "alike", "words", "alarms")


def show_collapse(output: Output, result: dict[str, Any]) -> None:
    """Show each arm as a table, a round a line."""
    for name, arm in result["arms"].items():
        output.show(show_text(f"\n{name}: {arm['about']}", "bold"))
        output.show(table(_HEADERS, [_row(one) for one in arm["rounds"]], right=_HEADERS[:-1]))


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(one["round"]),
        percent(one["agreement"]),
        percent(one["held_out"]),
        percent(one["audit"]),
        gain(one["reward"]),
        percent(one["distinct"]),
        percent(one["likeness"]),
        f"{one['length']:g}",
        ", ".join(one["alarms"]) or "none",
    )
