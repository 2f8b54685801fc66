"""The tasks: the model's weak points, its questions and answers today."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical

from seal_console.console.content import (
    assemble,
    fact,
    format_time,
    heading,
    lines,
    muted,
    right_or_wrong,
    safe,
    safe_line,
    share_bar,
)
from seal_console.console.screens.base import ShowCandidate
from seal_console.console.screens.table_screen import FILTER_KEYS, TABLE_KEYS, FilteredScreen
from seal_console.console.widgets.inputs import FilterBar
from seal_console.console.widgets.long_text import DetailPane
from seal_console.console.widgets.paged_table import PagedTable
from seal_console.console.widgets.table_columns import Cell, Column, Row
from seal_console.format import gain, short_id
from seal_console.queries.exports import tasks_table
from seal_console.queries.tasks import (
    SORTS,
    TaskRow,
    TasksQuery,
    newest_task_key,
    task_facts,
    task_keys,
    task_rows,
    tasks_since,
)
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_utils import Database
    from textual.app import ComposeResult
    from textual.content import Content

    from seal_console.queries.tasks import AnsweredQuestion, TaskFacts
    from seal_console.table_files import TableExport


_COLUMNS = (
    Column("Title", sort="title"),
    Column("Wrong today", 15, sort="weakness"),
    Column("Best", 7, right=True, sort="best reward"),
    Column("Reward", 6, right=True, optional=1),
    Column("Audit", 5, right=True, optional=1),
    Column("Source", 24, sort="source", optional=1),
)
_BAR_CELLS = 5


class TasksScreen(FilteredScreen):
    """Keys of the table are the tasks' rows."""

    NAME = "tasks"
    HELP = (
        "Every task, the weakest first. 'Wrong today' is the share of its questions that the live model has answered "
        "wrong, as recorded. Filter: words, or title: text: source: document: question: id: "
        "weakness>0.5 best<0 asked=0 reward>3 audit=0 imported:1 added>=2026-11; a minus negates a term. "
        "Enter opens the best self-edit so far."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort", "Sort", id="tasks.sort"),
        Binding("S", "turn_round", "Reverse", id="tasks.turn_round", tooltip="reverse the order"),
        *FILTER_KEYS,
        *TABLE_KEYS,
    ]
    DEFAULT_CSS = """
    TasksScreen #left { width: 11fr; }
    TasksScreen #card { width: 9fr; height: 1fr; }
    TasksScreen #table { height: 1fr; }
    TasksScreen.-narrow #columns { layout: vertical; }
    TasksScreen.-narrow #left { width: 1fr; height: 1fr; }
    TasksScreen.-narrow #card { width: 1fr; height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._sort = "weakness"
        self._backwards = False
        self._newest = 0

    def body(self) -> ComposeResult:
        """Lay out the table and the task next to it."""
        with Horizontal(id="columns"):
            with Vertical(id="left"):
                yield FilterBar("words weakness>0.5")
                yield PagedTable(_COLUMNS, self._rows, id="table", empty="No task matches, or there are none yet.")
            yield DetailPane("Task", id="card")

    @property
    def table(self) -> PagedTable:
        """The tasks."""
        return self.query_one("#table", PagedTable)

    async def load(self) -> None:
        """Read and show the tasks that fit, in their order; the cursor stays on its task."""
        await self._show(keep=True)

    async def show_filtered(self) -> None:
        """Show the tasks that fit, from the first on."""
        await self._show(keep=False)

    async def store_changed(self) -> None:
        """Show the figures of now; tasks that came are counted, and the order stays."""
        text, newest = self.filter_text, self._newest
        self.new_rows = await self.console.reader.read(lambda db: tasks_since(db, text, newest))
        self.table.refetch()
        self.show_status()
        await self.show_detail(self.table.key)

    async def detail(self, key: int) -> Content:
        """Read the card of a task."""
        facts = await self.console.reader.read(lambda db: task_facts(db, key))
        return assemble("This task is no longer there.") if facts is None else task_card(facts)

    @on(PagedTable.RowOpened)
    async def open_best(self, event: PagedTable.RowOpened) -> None:
        """Show the task's best self-edit in the review."""
        facts = await self.console.reader.read(lambda db: task_facts(db, event.key))
        if facts is None or facts.best_candidate is None:
            self.console.say("No self-edit for this task has been measured yet.")
        else:
            self.post_message(ShowCandidate(facts.best_candidate))

    @on(PagedTable.SortRequested)
    async def sort_by_heading(self, event: PagedTable.SortRequested) -> None:
        """Sort by the heading that was clicked; a second click turns the order round."""
        self._backwards = event.sort == self._sort and not self._backwards
        self._sort = event.sort
        await self.loaded(self.show_filtered)

    async def action_sort(self) -> None:
        """Sort by the next thing."""
        names = list(SORTS)
        self._sort, self._backwards = names[(names.index(self._sort) + 1) % len(names)], False
        await self.loaded(self.show_filtered)

    async def action_turn_round(self) -> None:
        """Turn the order round."""
        self._backwards = not self._backwards
        await self.loaded(self.show_filtered)

    def table_export(self) -> TableExport | None:
        """The tasks that fit, in their order."""
        keys = self.table.keys
        return tasks_table(keys) if keys else None

    def show_status(self) -> None:
        """Show how many rows match, and their order."""
        count = len(self.table.keys)
        words = f"{counted(count, 'task')} by {self._sort}{', reversed' if self._backwards else ''}"
        self.query_one(FilterBar).say(self.with_news(words))

    async def _show(self, *, keep: bool) -> None:
        query = TasksQuery(self.filter_text, self._sort, self._backwards)

        def read(db: Database) -> tuple[int, list[int]]:
            return newest_task_key(db), task_keys(db, query)

        self._newest, keys = await self.console.reader.read(read)
        self.new_rows = 0
        self.table.sorted_by = (self._sort, self._backwards)
        self.table.show(keys, keep=keep)
        self.show_status()

    def _rows(self, keys: Sequence[int]) -> dict[int, Row]:
        found = self.console.reader.read_now(lambda db: task_rows(db, keys))
        return {key: _row(one) for key, one in found.items()}


def _row(task: TaskRow) -> Row:
    best = "" if task.best_reward is None else gain(task.best_reward)
    title = f"{task.title} (imported)" if task.imported else task.title
    return (
        title, _wrong_today(task), best, str(task.reward_questions), str(task.audit_questions),
        Cell(task.document or task.source, "dim"),
    )  # fmt: skip


def _wrong_today(task: TaskRow) -> Cell:
    if task.weakness is None:
        return Cell("not answered", "dim")
    wrong = round(task.weakness * task.asked)
    bar = share_bar(task.weakness, _BAR_CELLS)
    return Cell(f"{bar} {wrong} of {task.asked}", "bad" if wrong else "good")


NOT_ASKED = "· not answered yet"


def task_card(facts: TaskFacts) -> Content:
    """Write the card of a task."""
    task = facts.task
    imported = ("  imported", "$text-accent bold") if task.imported else ""
    rows = [
        assemble((task.title, "bold"), imported),
        fact("source", task.source),
        fact("document", _document(facts)),
        fact("added", format_time(task.added_at)),
        fact("id", short_id(task.id)),
        fact("self-edits", _edits(facts)),
        safe(""),
        heading(f"Questions, answered by {_today(facts.today)}"),
        muted("Audit questions are never trained on."),
    ]
    for number, one in enumerate(facts.questions, 1):
        rows += _question(number, one)
    return lines(*rows, safe(""), heading("Context"), safe(task.context))


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
        today = assemble("     today    ", (NOT_ASKED, "$text-muted"))
    else:
        today = assemble(
            "     today    ", right_or_wrong(one.today.correct), "  ", safe_line(one.today.text, limit=500)
        )
    opened = one.with_context
    shown = (
        []
        if opened is None
        else [
            assemble("     with its context ", right_or_wrong(opened.correct), "  ", safe_line(opened.text, limit=500))
        ]
    )
    return [
        assemble((f"{number:>3}  ", "$text-muted"), safe_line(question.text, "bold"), "  ", split),
        assemble("     expected ", safe_line(" / ".join(question.answers))),
        *shown,
        today,
    ]
