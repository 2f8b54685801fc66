"""Text and plotted lines next to the forgetting matrix: one cell question by question, suites, alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.retention.matrix import figures
from seal_console.console.content import Piece, assemble, fact, heading, lines, muted, right_or_wrong, safe_line
from seal_console.console.widgets.plots import PlotLine
from seal_console.format import percent
from seal_console.render_alarm import MEANINGS, render_alarm
from store.version_tags import parse_number
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.content import Content

    from engine.retention.matrix import Matrix
    from seal_console.queries.retention import CellAnswer, CellFacts, DriftPoint, RetentionFacts, SuiteFacts
    from store.alarms import Alarm, RoundMeasures
    from store.records import Answer


def retention_card(facts: RetentionFacts, cell: CellFacts | None) -> Content:
    """Write it."""
    rows: list[Content] = []
    active = [alarm for alarm in facts.alarms if alarm.id in facts.active]
    for alarm in active:
        rows += [*_alarm(alarm), assemble("")]
    rows += [] if cell is None else [*_cell(facts.matrix, cell), assemble("")]
    rows += _line(facts.matrix)
    rows += _suites(facts.suites)
    cleared = len(facts.alarms) - len(active)
    if cleared:
        rows += [assemble(""), muted(f"{counted(cleared, 'alarm')} cleared: seal-console alarms list --all")]
    return lines(*rows)


def _alarm(alarm: Alarm) -> list[Content]:
    return [
        assemble(("! ", "$text-error bold"), (f"alarm {alarm.id} is active: {alarm.name}", "bold"),
               (f"  round {alarm.round_number}", "$text-muted")),
        assemble("  ", safe_line(MEANINGS.get(alarm.name, ""))),
        *(
            assemble("  ", safe_line(line, "$text-muted", limit=300))
            for line in render_alarm(alarm.name, alarm.evidence)
        ),
        assemble("  ", ("c", "$text-accent"), " clears it; nothing is accepted automatically while it is active."),
    ]  # fmt: skip


def _cell(matrix: Matrix, cell: CellFacts) -> list[Content]:
    place = [column.version for column in matrix.columns].index(cell.edit)
    row = matrix.rows.index(cell.version)
    share, learnt = matrix.cells[row][place], matrix.cells[place + 1][place]
    rows = [
        heading(f"{cell.version} on the edit of {cell.edit}"),
        fact("task", cell.task),
        fact("right", _share(share, len(cell.answers))),
        fact("when learnt", _share(learnt, len(cell.answers))),
    ]
    if share is None:
        rows.append(muted("Not all measured: seal-console retention matrix --ask measures the rest."))
    for one in cell.answers:
        rows += _answer(one, is_own=cell.version == cell.edit)
    return rows


def _answer(one: CellAnswer, *, is_own: bool) -> list[Content]:
    lost = not is_own and one.learnt is not None and one.now is not None and one.learnt.correct and not one.now.correct
    sign = ("▾ ", "$text-error bold") if lost else ("  ", "")
    question = assemble(
        sign, safe_line(one.question.text, "bold"), (f"  expected {' / '.join(one.question.answers)}", "$text-muted")
    )
    learnt: list[Piece] = [] if is_own else [*_answer_pieces(one.learnt), ("  →  ", "$text-muted")]
    return [question, assemble("    ", *learnt, *_answer_pieces(one.now))]


def _answer_pieces(answer: Answer | None) -> list[Content]:
    if answer is None:
        return [muted("not answered")]
    return [right_or_wrong(answer.correct), assemble(" "), safe_line(answer.text or "(no answer)", limit=60)]


def _line(matrix: Matrix) -> list[Content]:
    if not matrix.columns:
        return [muted("Nothing is accepted on the live lineage yet.")]
    found = figures(matrix)
    transfer = found["backward_transfer"]
    words = "–" if transfer is None else f"{100 * transfer:+.0f} points" if transfer else "nothing was forgotten"
    return [
        heading("The live lineage"),
        fact("edits", str(len(matrix.columns))),
        fact("known now", percent(found["mean_now"]) + " of the edits' questions answered right"),
        fact("since learnt", words + ("" if transfer is None or transfer >= 0 else ": forgotten")),
    ]


def _suites(suites: Sequence[SuiteFacts]) -> list[Content]:
    if not suites:
        return []
    rows = [assemble(""), heading("Suites: right answers are guarded")]
    for one in suites:
        floor = "not measured" if one.noise_floor is None else str(one.noise_floor)
        if one.lost is None:
            words = f"{one.right} of {one.prompts} answered right by the base"
        else:
            words = f"lost {one.lost} of {one.right}"
        tone = "$text-error" if one.lost else ""
        rows.append(assemble(safe_line(one.name), "  ", (words, tone), (f"; noise floor {floor}", "$text-muted")))
    return rows


def _share(share: float | None, questions: int) -> str:
    if share is None:
        return f"– of {questions}"
    return f"{round(share * questions)} of {questions} ({percent(share)})"


# Held-out accuracy and agreement in one plot: self-training collapses when they diverge.
_OF_ROUNDS = (
    ("held_out", "held-out accuracy", "◆", "text-success"),
    ("agreement", "agreement", "●", "text-accent"),
    ("distinct", "diversity of self-edits", "▲", "text-warning"),
)


def drift_lines(points: Sequence[DriftPoint]) -> list[PlotLine]:
    """Return the mean drift of each version, and the limit if there is one."""
    means = tuple((float(parse_number(point.version)), point.mean_kl) for point in points)
    limits = tuple((float(parse_number(point.version)), point.limit) for point in points if point.limit is not None)
    return [
        PlotLine("mean", "●", "text-accent", means),
        PlotLine("limit", "×", "text-error", limits),
    ]


def round_lines(measures: Sequence[RoundMeasures]) -> list[PlotLine]:
    """Return the measures of the rounds, for rounds that have them."""
    return [
        PlotLine(name, sign, tone, tuple((float(one.round_number), mean) for one in measures
                                         if (mean := _mean(one, key)) is not None))
        for key, name, sign, tone in _OF_ROUNDS
    ]  # fmt: skip


def _mean(measured: RoundMeasures, key: str) -> float | None:
    value = measured.measures.get(key)
    if isinstance(value, dict):
        return sum(value.values()) / len(value) if value else None
    return value if isinstance(value, int | float) else None
