"""`tasks show`: one task with its questions, and what the model reads about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from seal_console.cli.command import SealCommand
from seal_console.cli.engine_call import call_engine
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.workspace_session import open_to_show
from seal_console.format import facts, indent_text, short_id, table, verdict
from seal_console.queries.tasks import facts_of_task
from store.tasks import get_task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.text import Text

    from seal_console.cli.invocation import Invocation, Output
    from seal_console.queries.tasks import AnsweredQuestion, TaskFacts
    from store.records import Answer


@click.command(
    "show",
    cls=SealCommand,
    short_help="Show a task, its questions, and the exact prompts.",
    examples=("seal-console tasks show 8b1f", "seal-console tasks show 8b1f --prompt"),
)
@click.argument("task_id", metavar="ID")
@click.option("--prompt", "with_prompts", is_flag=True, help="Show what the model reads, special tokens included.")
@pass_invocation
def show(invocation: Invocation, task_id: str, with_prompts: bool) -> None:
    """Show a task with its questions, how each is graded, and whether it is answered with its context in view.

    --prompt adds the exact prompts of the exam and for a self-edit, and what training shows.
    """
    with open_to_show(invocation) as found:
        shown = facts_of_task(found.db, get_task(found.db, task_id))
        workspace = str(found.workspace.root)
    prompts: dict[str, Any] = {}
    if with_prompts:
        parameters = {"workspace": workspace, "task": shown.task.id}
        prompts = call_engine(invocation, "tasks.prompts", parameters, records=False, next_step="Nothing was changed.")
    output = invocation.output
    if output.as_json:
        output.data({**_as_json(shown), **({"prompts": prompts} if prompts else {})})
        return
    _show_task(output, shown)
    if prompts:
        _show_prompts(output, prompts)


def _show_task(output: Output, shown: TaskFacts) -> None:
    task = shown.task
    about = [("task", short_id(task.id)), ("title", task.title), ("source", task.source), ("live", shown.today)]
    output.show(facts(about), "", indent_text(task.context), "")
    rows = [
        (
            one.question.text,
            " / ".join(one.question.answers),
            one.question.grader,
            one.question.split,
            _answer(one.with_context),
            _answer(one.today),
        )
        for one in shown.questions
    ]
    output.show(table(("question", "accepted", "grader", "split", "with context", "live"), rows))


def _answer(answer: Answer | None) -> Text | str:
    if answer is None:
        return "not asked"
    return verdict(answer.correct)


def _show_prompts(output: Output, prompts: Mapping[str, Any]) -> None:
    end = f"It ends at {prompts['ends_at']}, or after {prompts['max_new_tokens']} tokens."
    parts = [
        (f"The exam asks ({prompts['form']}). {end}", prompts["exam"]),
        ("The ceiling asks:", prompts["exam_with_context"]),
        ("A self-edit is asked for with:", prompts["self_edit"]),
        ("Training on a question with its answer shows (learnt: ⟪ ⟫):", prompts["training"][0]),
        ("Training on the context shows:", prompts["training"][1]),
    ]
    for heading, text in parts:
        output.show("", heading, indent_text(text))


def _as_json(shown: TaskFacts) -> dict[str, Any]:
    task = shown.task
    return {
        "id": task.id,
        "title": task.title,
        "context": task.context,
        "source": task.source,
        "live": shown.today,
        "questions": [_question_as_json(one) for one in shown.questions],
    }


def _question_as_json(one: AnsweredQuestion) -> dict[str, Any]:
    question = one.question
    given = {"with_context": one.with_context, "live_answer": one.today}
    return {
        "question": question.text,
        "answers": question.answers,
        "grader": question.grader,
        "split": question.split,
        **{
            name: None if answer is None else {"text": answer.text, "right": answer.correct, "cut": answer.cut}
            for name, answer in given.items()
        },
    }
