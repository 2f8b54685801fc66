"""Renders one candidate for the terminal: text, answers before and after, measures, gates, provenance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from seal_console.format import (
    ROLES,
    facts,
    gain,
    gain_of_repeats,
    gate_verdict,
    indent_text,
    show_line,
    show_text,
    table,
    verdict,
)
from seal_console.render_gate import render_gate, verdict_label
from store.version_tags import policy_tag, state_name
from store.wording import counted, value_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from seal_console.cli.invocation import Output
    from seal_console.format import Cell
    from store.dossier import Dossier, QuestionComparison
    from store.records import Answer, Candidate, GateResult, InnerUpdate


def show_candidate(output: Output, whole: Dossier) -> None:
    """Show everything about a candidate on stdout."""
    candidate = whole.candidate
    output.show(_heading(f"Candidate {candidate.id}"))
    output.show(facts([("task", whole.task.title), ("state", candidate.state), *_measures(whole)]))
    output.show(_heading("Self-edit"), indent_text(candidate.completion))
    sequences = counted(len(candidate.sequences), "sequence")
    output.show(_heading(f"Trained on {sequences}" if whole.updates else f"Not trained: {sequences}"))
    for sequence in candidate.sequences:
        output.show(indent_text(sequence), "")
    output.show(_heading("Answers"))
    for compared in whole.compared:
        output.show(_answers_heading(compared), facts(_answers(compared)), "")
    output.show(_heading("Gates"))
    _show_gates(output, whole.gates)
    output.show(_heading("Inner updates"))
    headers = ("repeat", "steps", "tokens", "seconds", "loss first → last", "seed")
    output.show(table(headers, [_update(update) for update in whole.updates]))
    output.show(_heading("Provenance"), facts(_provenance(whole)))


def _show_gates(output: Output, gates: Sequence[GateResult]) -> None:
    """Show each gate with its figures in a row, then the lost answers, one a line."""
    words = {gate.gate: render_gate(gate.gate, gate.evidence) for gate in gates}
    rows = [(gate.gate, gate_verdict(verdict_label(gate)), words[gate.gate][0]) for gate in gates]
    output.show(table(("gate", "verdict", "evidence"), rows) if rows else "    none")
    for name, (_, *details) in words.items():
        if details:
            output.show(show_line(f"  {name}:"))
        for line in details:
            output.show(show_line(f"    {line}"))


def _heading(words: str) -> Text:
    return show_text(f"\n{words}", "bold")


def _measures(whole: Dossier) -> Iterator[tuple[str, Cell]]:
    candidate = whole.candidate
    reward = gain_of_repeats(candidate.reward_mean, candidate.reward_std, len(whole.updates))
    yield "reward", reward if whole.updates else f"{reward}: not trained"
    yield "audit gain", gain(candidate.audit_gain)
    for decision in whole.decisions:
        yield decision.action, f"by {decision.actor} at {decision.decided_at}: {decision.reason}"


def _answers_heading(compared: QuestionComparison) -> Text:
    return show_line(f"  {compared.question.text}  [{compared.question.split}]", "bold")


def _answers(compared: QuestionComparison) -> Iterator[tuple[str, Cell]]:
    yield "    expected", " / ".join(compared.question.answers)
    for name, answers in (("before", compared.before), ("after", compared.after)):
        if not answers:
            yield f"    {name}", "not answered"
        for answer in _without_repetition(answers):
            yield f"    {name}", Text.assemble(verdict(answer.correct), "  ", show_line(answer.text))


def _without_repetition(answers: Sequence[Answer]) -> list[Answer]:
    """Return the answers, those that several repeats share only once."""
    return list({(answer.text, answer.correct): answer for answer in answers}.values())


def _update(update: InnerUpdate) -> tuple[str, ...]:
    losses = f"{update.losses[0]:.3f} → {update.losses[-1]:.3f}" if update.losses else "not recorded"
    return (
        str(update.repeat), str(update.steps), f"{update.trained_tokens:,}", f"{update.elapsed_s:.2f}", losses,
        str(update.seed),
    )  # fmt: skip


def _provenance(whole: Dossier) -> Iterator[tuple[str, Cell]]:
    candidate = whole.candidate
    imported = " (imported)" if candidate.imported else ""
    yield "round", f"{candidate.round_number}, position {candidate.position}, {ROLES[candidate.role]}{imported}"
    yield "written by", _writer(candidate)
    yield "trained on", state_name(candidate.live_version)
    yield "format", candidate.edit_format
    yield "sampling", f"{value_in_words(candidate.sampling)}, seed {candidate.seed}"
    yield "source", whole.task.source
    yield "task id", whole.task.id
    yield "base model", value_in_words(whole.round.settings.get("base") or "not recorded")
    yield "adapter", candidate.adapter_hash or "none"
    yield "created", candidate.created_at


def _writer(candidate: Candidate) -> str:
    """Return who wrote the self-edit; a policy that was only tried has an adapter but no version."""
    if candidate.derived_from is not None:
        return f"{candidate.sampling.get('edited_by', 'unknown')}, from candidate {candidate.derived_from}"
    if candidate.policy_version is not None:
        return policy_tag(candidate.policy_version)
    tried = candidate.sampling.get("policy_adapter")
    if candidate.imported:
        return "the model of the published run"
    return f"a candidate policy, adapter {tried}" if tried else "the base model"
