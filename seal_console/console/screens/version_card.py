"""The text about one version, about one policy, and about the state before the first version."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING

from seal_console.console.content import assemble, fact, format_time, heading, lines, muted, safe, safe_line
from seal_console.console.widgets.table_columns import Cell, Column
from seal_console.format import gain, gain_of_repeats, percent, short_id
from seal_console.render_gate import verdict_label
from seal_console.render_recipe import render_recipe, render_replay
from store.version_tags import live_name, policy_tag, version_tag
from store.wording import counted

if TYPE_CHECKING:
    from pathlib import Path

    from textual.content import Content

    from seal_console.console.widgets.table_columns import Row
    from seal_console.queries.versions import PolicyFacts, StoredAdapter, VersionFacts, VersionLine
    from store.records import Move, PolicyVersion


LIVE_SIGN, SHADOW_SIGN = "◆", "◇"
_SIGNS = {"live": LIVE_SIGN, "shadow": SHADOW_SIGN}
_MOVES = 12
_CAUSES = {"accept": "accepted", "rollback": "rolled back", "checkout": "checked out with git"}


def pointer_names(pointers: tuple[str, ...]) -> str:
    """Return the names that point at a version, with a sign: "◆ live"."""
    return " ".join(f"{_SIGNS[name]} {name}" for name in pointers)


def checkout_command(adapters_folder: Path, tag: str) -> str:
    """Return the git command that makes a version live, as a rollback does."""
    return f"git -C {shlex.quote(str(adapters_folder))} checkout {tag}"


def card_command(adapters_folder: Path, tag: str) -> str:
    """Return the git command that shows a version's or a policy's own card."""
    return f"git -C {shlex.quote(str(adapters_folder))} show {tag}:README.md"


def version_card(facts: VersionFacts, adapters_folder: Path) -> Content:
    """Write the card of a version."""
    points = (pointer_names(facts.pointers), "bold $text-success") if facts.pointers else ("not live", "$text-muted")
    rows = [assemble((facts.tag, "bold"), "  ", points)]
    if facts.missing_files:
        rows.append(safe(f"✗ {facts.missing_files}", "$text-error"))
    if facts.version is None:
        rows.append(muted("The base model alone, before the first acceptance. There is no adapter."))
    else:
        rows += _accepted(facts)
        rows += _measured(facts)
        rows += _manifest(facts.stored)
        if facts.candidate is not None:
            rows += [safe(""), heading("Self-edit"), safe(facts.candidate.completion)]
    rows += _moves(facts.moves, facts.number)
    rows += [safe(""), heading("With git"), safe(checkout_command(adapters_folder, facts.tag))]
    return lines(*rows)


def policy_card(facts: PolicyFacts, adapters_folder: Path) -> Content:
    """Write the card of a policy."""
    policy = facts.policy
    before, after = policy.metrics.get("held_out_before"), policy.metrics.get("held_out_after")
    change = "" if before is None or after is None else f" ({gain(after - before)})"
    return lines(
        assemble((policy.tag, "bold"), "  ", ("◆ policy in use" if facts.newest else "policy", "bold $text-success")),
        muted("Writes self-edits; it never goes live itself."),
        fact("parent", policy_tag(policy.parent_number) if policy.parent_number else "the base model"),
        fact("from round", str(policy.round_number)),
        fact("held out", f"{percent(before)} → {percent(after)}{change}"),
        fact("kept at", format_time(policy.created_at)),
        assemble(("commit ", "$text-muted"), policy.commit),
        fact("adapter", short_id(policy.adapter_hash)),
        *_manifest(facts.stored),
        safe(""),
        heading("Its card with git"),
        safe(card_command(adapters_folder, policy.tag)),
    )


def _accepted(facts: VersionFacts) -> list[Content]:
    version, candidate, task = facts.version, facts.candidate, facts.task
    if version is None or candidate is None or task is None:
        return []
    parent = version_tag(version.parent_number or 0) + ("" if version.parent_number else " (base)")
    rows = [
        fact("reason", assemble(version.reason)),
        fact("accepted by", version.accepted_by),
        fact("accepted at", format_time(version.created_at)),
        fact("parent", parent),
        fact("task", task.title),
        fact("candidate", f"{short_id(candidate.id)} of round {candidate.round_number}"),
    ]
    if candidate.derived_from is not None:
        rows.append(fact("edited from", short_id(candidate.derived_from)))
    return [
        *rows,
        assemble(("commit ", "$text-muted"), version.commit),
        fact("adapter", short_id(version.adapter_hash)),
    ]


def _measured(facts: VersionFacts) -> list[Content]:
    candidate = facts.candidate
    if candidate is None:
        return []
    labels = {gate.gate: verdict_label(gate) for gate in facts.gates}
    alike = Counter(str(labels[gate.gate]) for gate in facts.gates if gate.passed)
    counts = [f"{sign} {count} {word}" for label, count in alike.items() for sign, word in [label.split(" ", 1)]]
    gates = ", ".join([*counts, *(f"{gate.gate} {labels[gate.gate]}" for gate in facts.gates if not gate.passed)])
    return [
        safe(""),
        heading("Measured before it was accepted"),
        fact("reward", gain_of_repeats(candidate.reward_mean, candidate.reward_std, facts.stored.repeats)),
        fact("audit gain", gain(candidate.audit_gain)),
        fact("gates", gates or "none"),
    ]


def _manifest(stored: StoredAdapter) -> list[Content]:
    rows = [safe(""), heading("Manifest, read from git")]
    if stored.problem:
        return [*rows, safe(f"✗ {stored.problem}", "$text-error")]
    manifest = stored.manifest
    rows.append(
        safe("✓ matches its record", "$text-success")
        if stored.is_the_recorded_one
        else safe("✗ does not match its record: run seal-console verify", "bold $text-error")
    )
    rows.append(fact("base", ", ".join(_short(value) for value in (manifest.get("base") or {}).values())))
    for update in (manifest.get("inner_updates") or [])[:1]:
        recipe = update.get("hyperparameters") or {}
        rows += [fact("inner update", render_recipe(recipe)), fact("replayed", render_replay(recipe))]
        steps, tokens = counted(update.get("steps", 0), "step"), counted(update.get("trained_tokens", 0), "token")
        rows.append(fact("trained", f"{steps} on {tokens}"))
    head = manifest.get("chain_head") or {}
    rows.append(fact("event log", f"up to event {head.get('sequence', '–')}, {_short(head.get('hash', '–'))}"))
    files = (manifest.get("files") or {}).items()
    return rows + [assemble((f"{name} ", "$text-muted"), _short(value)) for name, value in files]


def _short(value: object) -> str:
    text = str(value)
    return short_id(text) if text.startswith("sha256:") else text


def _moves(moves: list[Move], number: int) -> list[Content]:
    rows = [safe(""), heading("When it was live")]
    if not moves:
        return [*rows, muted("It was never live." if number else "Live from the beginning: nothing is accepted yet.")]
    for move in moves[::-1][:_MOVES]:
        there = (move.to_version or 0) == number
        rows.append(
            assemble(
                (f"{format_time(move.moved_at)[:16]} ", "$text-muted"),
                "went live, replacing " if there else "was replaced by ",
                live_name(move.from_version if there else move.to_version),
                (f" · {_CAUSES.get(move.cause, move.cause)} by ", "$text-muted"),
                safe_line(move.actor),
                (" · ", "$text-muted"),
                safe_line(move.reason),
            )
        )
    if len(moves) > _MOVES:
        rows.append(muted(f"and {len(moves) - _MOVES} earlier"))
    return rows


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
    what = f"{line.tag} {pointer_names(line.pointers)}"
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
