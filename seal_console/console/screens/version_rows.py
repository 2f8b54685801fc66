"""The columns and lines of the list of versions and policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seal_console.console.screens.version_card import pointed
from seal_console.console.widgets.paged_table import Cell, Column
from seal_console.format import gain, percent

if TYPE_CHECKING:
    from seal_console.console.widgets.paged_table import Row
    from seal_console.queries.versions import VersionLine
    from store.records import PolicyVersion

_GRAPH_CELLS = 15


def version_columns(graph_cells: int) -> tuple[Column, ...]:
    """The columns for a graph of this width; a wider one is cut."""
    return (
        Column("", min(graph_cells, _GRAPH_CELLS)),
        Column("Version", 14),
        Column("Because"),
        Column("Reward", 7, right=True, optional=1),
        Column("By", 10, optional=1),
        Column("At (UTC)", 11, optional=1),
    )


def version_row(line: VersionLine, graph: str) -> Row:
    """One line of the list for a version; the live one is named by sign and word."""
    what = f"{line.tag} {pointed(line.pointers)}"
    reward = "" if line.candidate_id is None else "–" if line.reward_mean is None else gain(line.reward_mean)
    return (
        Cell(graph, "accent"), Cell(what, "good" if "live" in line.pointers else ""), line.reason, reward,
        line.accepted_by, line.created_at[5:16].replace("T", " "),
    )  # fmt: skip


def policy_row(policy: PolicyVersion, graph: str, *, newest: bool) -> Row:
    """One line of the list for a policy."""
    before, after = policy.metrics.get("held_out_before"), policy.metrics.get("held_out_after")
    words = f"policy of round {policy.round_number}: held out {percent(before)} → {percent(after)}"
    return (
        Cell(graph, "dim"), Cell(policy.tag + (" in use" if newest else ""), "accent" if newest else ""), words, "",
        "", policy.created_at[5:16].replace("T", " "),
    )  # fmt: skip
