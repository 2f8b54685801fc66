"""One candidate whole, as content: self-edit, answers before and after, measures, gates, provenance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seal_console.console.content import assemble, lines, safe, safe_line, sparkline
from seal_console.format import ROLES, gain, gain_of_repeats, short_id
from seal_console.queries.queue import QueueRow, siblings
from seal_console.render_gate import needs_review_by, render_gate, verdict_label
from seal_console.render_recipe import render_recipe, render_replay
from store.candidates import get_candidate
from store.dossier import Dossier, QuestionComparison, dossier
from store.review_queue import is_waiting, on_older_parent
from store.version_rows import live_version
from store.version_tags import policy_tag, state_name
from store.wording import counted, value_in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_utils import Database
    from textual.content import Content

    from store.records import Answer, Candidate, InnerUpdate

RIGHT, WRONG = ("✓ right", "$text-success"), ("✗ wrong", "$text-error")
_EVIDENCE_LINES, _EVIDENCE_CHARACTERS = 12, 400
_RANGE = 17
_BEST, _BESIDE = 5, 3
_TONES = {"good": "$text-success", "bad": "$text-error", "warn": "$text-warning", "dim": "$text-muted"}


@dataclass(frozen=True, slots=True)
class CandidateContent:
    """A candidate's dossier, the other candidates of its task, the text that it was edited from, and what is live."""

    whole: Dossier
    others: list[QueueRow]
    original: Candidate | None
    live: int | None


def read_candidate(db: Database, candidate_id: str) -> CandidateContent:
    """Read all that is shown of one candidate."""
    candidate = get_candidate(db, candidate_id)
    original = None if candidate.derived_from is None else get_candidate(db, candidate.derived_from)
    return CandidateContent(dossier(db, candidate), siblings(db, candidate.id), original, live_version(db))


def sections(shown: CandidateContent, width: int) -> list[tuple[str, Content]]:
    """Return titles with content, in the order of a review."""
    whole = shown.whole
    candidate = whole.candidate
    found = [("", _head(shown))]
    found.append(("Self-edit", safe(candidate.completion) if candidate.completion else safe("(empty)", "$text-muted")))
    if shown.original is not None:
        found.append(("Edited from", _difference(shown.original, candidate)))
    found += [
        ("Answers before → after", _answers(whole.compared)),
        ("Other self-edits of this task", _others(shown)),
        ("Gates", _gates(whole)),
        (_sequences_title(whole), _sequences(candidate)),
        ("Loss of the inner updates", lines(*(_loss(update, width) for update in whole.updates)) or safe("none")),
        ("Provenance", _provenance(whole)),
    ]
    if whole.decisions:
        found.append(("Decisions", lines(*(_decision(whole, place) for place in range(len(whole.decisions))))))
    return found


def _head(shown: CandidateContent) -> Content:
    candidate, whole = shown.whole.candidate, shown.whole
    reward = gain_of_repeats(candidate.reward_mean, candidate.reward_std, len(whole.updates))
    right_before = sum(one.correct for compared in whole.compared for one in compared.before[:1])
    right_after = sum(one.correct for compared in whole.compared for one in compared.after[:1])
    return lines(
        assemble((whole.task.title, "bold $text-accent"), f"   {short_id(candidate.id)}   ", (candidate.state, "bold")),
        assemble(
            ("reward ", "$text-muted"), (reward, "bold"),
            ("   audit ", "$text-muted"), gain(candidate.audit_gain),
            ("   right ", "$text-muted"),
            f"{right_before} → {right_after} of {len(whole.compared)}" if whole.updates else "not examined",
        ),
        *_older_parent(shown),
        *_needs_review(whole),
    )  # fmt: skip


def _older_parent(shown: CandidateContent) -> list[Content]:
    """Say that an undecided candidate cannot be accepted, if it was trained on a version that is no longer live."""
    candidate = shown.whole.candidate
    if not on_older_parent(candidate.state, candidate.live_version, shown.live, imported=candidate.imported):
        return []
    parent, live = state_name(candidate.live_version), state_name(shown.live)
    return [safe_line(f"↷ trained on {parent}, but {live} is live: it cannot be accepted now", "$text-warning")]


def _needs_review(whole: Dossier) -> list[Content]:
    """Name the gates that require a person's decision, while nobody has decided."""
    gates = [gate.gate for gate in whole.gates if gate.needs_review]
    if not gates or not is_waiting(whole.candidate.state, imported=whole.candidate.imported):
        return []
    return [safe_line(f"‖ {needs_review_by(gates)}: only a person may accept it", "$text-warning")]


def _answers(compared: Sequence[QuestionComparison]) -> Content:
    rows: list[Content] = []
    for one in compared:
        split = ("audit ", "$text-warning") if one.question.split == "audit" else ("", "")
        rows.append(
            assemble(
                split,
                safe_line(one.question.text, "bold"),
                (f"  expected {' / '.join(one.question.answers)}", "$text-muted"),
            )
        )
        rows.append(assemble("    ", *_answer_pieces(one.before), ("  →  ", "$text-muted"), *_answer_pieces(one.after)))
    return lines(*rows) if rows else safe("not examined yet", "$text-muted")


def _answer_pieces(answers: Sequence[Answer]) -> list[Content]:
    """The answers, those that several repeats share only once, with how many repeats gave them."""
    if not answers:
        return [safe("not answered", "$text-muted")]
    counts: dict[tuple[str, bool], int] = {}
    for answer in answers:
        counts[answer.text, answer.correct] = counts.get((answer.text, answer.correct), 0) + 1
    pieces: list[Content] = []
    for (text, correct), times in counts.items():
        share = f" ×{times}" if len(counts) > 1 else ""
        pieces += [
            assemble(RIGHT if correct else WRONG, " "),
            safe_line(text or "(no answer)", limit=60),
            assemble(f"{share}  "),
        ]
    return pieces


def _others(shown: CandidateContent) -> Content:
    if not shown.others:
        return safe("nothing measured", "$text-muted")
    rows = []
    for place, other in _around(shown):
        mine = other.id == shown.whole.candidate.id
        mean, spread = other.reward_mean or 0.0, other.reward_std or 0.0
        rows.append(
            assemble(("› " if mine else "  ", "bold"), (f"{place:>2}. ", "$text-muted"),
                   (_whiskers(mean, spread), "$text-accent"),
                   (f" {gain(other.reward_mean, other.reward_std):<16} ", "bold" if mine else ""),
                   (f"{other.state:<9}", "$text-muted"), safe_line(other.beginning, limit=40))
        )  # fmt: skip
    return lines(*rows)


def _around(shown: CandidateContent) -> list[tuple[int, QueueRow]]:
    """The best of the others and those next to this one, with their places."""
    places = list(enumerate(shown.others, 1))
    mine = next((place for place, other in places if other.id == shown.whole.candidate.id), 1)
    return [(place, other) for place, other in places if place <= _BEST or abs(place - mine) <= _BESIDE]


def _whiskers(mean: float, spread: float) -> str:
    """Draw a reward (−1 … 1) with its spread on a scale of 17 places; the middle is no gain."""

    def place(value: float) -> int:
        return round((_RANGE - 1) * (min(max(value, -1.0), 1.0) + 1.0) / 2.0)

    scale = ["·"] * _RANGE
    scale[_RANGE // 2] = "│"
    for at in range(place(mean - spread), place(mean + spread) + 1):
        scale[at] = "─"
    scale[place(mean)] = "●"
    return "".join(scale)


def _gates(whole: Dossier) -> Content:
    if not whole.gates:
        return safe("none decided yet", "$text-muted")
    rows: list[Content] = []
    for gate in whole.gates:
        figures, *evidence = render_gate(gate.gate, gate.evidence)
        label = verdict_label(gate)
        verdict = (f"{label} ", _TONES[label.tone])
        rows.append(assemble(verdict, (gate.gate, "bold"), "  ", safe_line(figures, "$text-muted")))
        rows += [assemble("    ", safe_line(line, limit=_EVIDENCE_CHARACTERS)) for line in evidence[:_EVIDENCE_LINES]]
        left_out = len(evidence) - _EVIDENCE_LINES
        if left_out > 0:
            rows.append(safe(f"    … and {left_out:,} more: seal-console review show lists all", "$text-muted"))
    return lines(*rows)


def _sequences_title(whole: Dossier) -> str:
    count = len(whole.candidate.sequences)
    return f"Trained on {counted(count, 'sequence')}" if whole.updates else f"Not trained: {counted(count, 'sequence')}"


def _sequences(candidate: Candidate) -> Content:
    off = set(candidate.sampling.get("off") or [])
    rows = [
        assemble((f"{number:>2} ", "$text-muted"), safe_line(sequence, limit=200))
        for number, sequence in enumerate(candidate.sequences, 1)
    ]
    if off:
        rows.append(safe(f"{counted(len(off), 'sequence')} of the original switched off", "$text-warning"))
    return lines(*rows)


def _loss(update: InnerUpdate, width: int) -> Content:
    if not update.losses:
        return assemble(f"repeat {update.repeat}: not recorded")
    return assemble(
        (f"repeat {update.repeat} ", "$text-muted"),
        (sparkline(update.losses, max(10, min(60, width - 44))), "$text-accent"),
        f" {update.losses[0]:.3f} → {update.losses[-1]:.3f}, {counted(update.steps, 'step')}, {update.elapsed_s:.1f} s",
    )  # fmt: skip


def _provenance(whole: Dossier) -> Content:
    candidate = whole.candidate
    facts = {
        "source": whole.task.source,
        "round": f"{candidate.round_number}, position {candidate.position}, {ROLES[candidate.role]}"
        + (" (imported)" if candidate.imported else ""),
        "written by": _writer(candidate),
        "trained on": state_name(candidate.live_version),
        "sampling": f"{value_in_words(candidate.sampling)}, seed {candidate.seed}",
        "inner update": render_recipe(whole.updates[0].hyperparameters) if whole.updates else "none",
        "replayed": render_replay(whole.updates[0].hyperparameters) if whole.updates else "nothing",
        "inner seeds": ", ".join(str(update.seed) for update in whole.updates) or "none",
        "adapter": candidate.adapter_hash or "none",
        "created": candidate.created_at,
        "id": candidate.id,
        "context": whole.task.context,
        "prompt": candidate.prompt,
    }
    return lines(*(assemble((f"{name:<13}", "$text-muted"), safe(value)) for name, value in facts.items()))


def _writer(candidate: Candidate) -> str:
    edited = candidate.sampling.get("edited_by")
    if edited:
        return f"{edited}, from {short_id(candidate.derived_from or '')}"
    if candidate.policy_version is not None:
        return policy_tag(candidate.policy_version)
    return "the model of the published run" if candidate.imported else "the base model, or a candidate policy"


def _difference(original: Candidate, candidate: Candidate) -> Content:
    from difflib import ndiff  # noqa: PLC0415 - rarely needed

    rows = []
    for line in ndiff(original.completion.splitlines(), candidate.completion.splitlines()):
        style = {"+": "$text-success", "-": "$text-error"}.get(line[:1], "$text-muted")
        if not line.startswith("?"):
            rows.append(safe_line(line, style))
    return lines(assemble((f"{short_id(original.id)}; + added, - removed", "$text-muted")), *rows)


def _decision(whole: Dossier, place: int) -> Content:
    one = whole.decisions[place]
    return assemble((one.action, "bold"), f" by {one.actor} at {one.decided_at[:19].replace('T', ' ')}: {one.reason}")
