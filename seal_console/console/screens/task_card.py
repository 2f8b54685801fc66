"""The text about one task: its passage, its questions, and what is answered to them today."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seal_console.console.fact_lines import fact, heading, moment, muted, right_or_wrong
from seal_console.console.safe_content import joined, lines, safe, safe_line
from seal_console.format import gain, short_id

if TYPE_CHECKING:
    from textual.content import Content

    from seal_console.queries.tasks import AnsweredQuestion, TaskFacts

NOT_ASKED = "· not asked yet"


def task_card(facts: TaskFacts) -> Content:
    """Write the card of a task."""
    task = facts.task
    imported = ("  imported", "$text-accent bold") if task.imported else ""
    rows = [
        joined((task.title, "bold"), imported),
        fact("source", task.source),
        fact("document", _document(facts)),
        fact("added", moment(task.added_at)),
        fact("id", short_id(task.id)),
        fact("self-edits", _edits(facts)),
        safe(""),
        heading(f"Questions, answered by {_today(facts.today)}"),
        muted("Those of the audit are kept from every training; they are only asked."),
    ]
    for number, one in enumerate(facts.questions, 1):
        rows += _question(number, one)
    return lines(*rows, safe(""), heading("Passage"), safe(task.context))


def _document(facts: TaskFacts) -> str:
    if facts.document is None:
        return "none"
    title = f" ({facts.document.title})" if facts.document.title != facts.document.path else ""
    return f"{facts.document.path}{title}"


def _edits(facts: TaskFacts) -> str:
    if facts.best_candidate is None:
        return f"{facts.candidates:,}, none measured" if facts.candidates else "none yet"
    best = f"{gain(facts.best_reward)} ({short_id(facts.best_candidate)})"
    return f"{facts.candidates:,}, the best {best}: enter opens it"


def _today(state: str) -> str:
    return "the base model, which is live" if state == "base" else f"{state}, which is live"


def _question(number: int, one: AnsweredQuestion) -> list[Content]:
    question = one.question
    split = ("audit", "$text-accent") if question.split == "audit" else ("reward", "$text-muted")
    if one.today is None:
        said = joined("     today  ", (NOT_ASKED, "$text-muted"))
    else:
        said = joined("     today  ", right_or_wrong(one.today.correct), "  ", safe_line(one.today.text, limit=500))
    return [
        joined((f"{number:>3}  ", "$text-muted"), safe_line(question.text, "bold"), "  ", split),
        joined("     gold   ", safe_line(" / ".join(question.answers))),
        said,
    ]
