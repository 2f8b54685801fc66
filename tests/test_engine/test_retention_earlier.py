"""The exam of earlier edits: all questions, or a draw that depends on ids and seed alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.retention.earlier import AcceptedEdit, earlier_questions, questions_at_risk
from store.records import Question, Task, Version

NOW = "2026-01-01T00:00:00.000Z"


def task(name: str, *texts: str, title: str | None = None) -> Task:
    questions = [
        Question(f"{name}/{text}", name, place, text, ["gold"], "exact", {}, "audit" if place else "reward")
        for place, text in enumerate(texts)
    ]
    return Task(name, title or name, "context", "source", NOW, questions=questions)


def edit(number: int, about: Task) -> AcceptedEdit:
    parent = number - 1 or None
    tag = f"v{number:04d}"
    return AcceptedEdit(
        Version(number, tag, f"c{number}", parent, f"cand{number}", "a", "m", "Ada", "good", NOW), about
    )


def line(sizes: list[int]) -> list[AcceptedEdit]:
    return [edit(n, task(f"t{n}", *(f"q{place}" for place in range(size)))) for n, size in enumerate(sizes, start=1)]


sizes_of_edits = st.lists(st.integers(1, 8), min_size=1, max_size=8)


@given(sizes_of_edits, st.integers(0, 70), st.integers(0, 3))
def test_the_draw_is_as_large_as_allowed_and_the_same_whenever_it_is_made(
    sizes: list[int], most: int, seed: int
) -> None:
    edits = line(sizes)
    drawn = [one.question.id for one in earlier_questions(edits, most, seed)]
    assert len(drawn) == len(set(drawn)) == min(most, sum(sizes))
    assert set(drawn) == {one.question.id for one in earlier_questions(edits[::-1], most, seed)}
    in_order = [question.id for one in edits for question in one.task.questions]
    assert drawn == [question_id for question_id in in_order if question_id in drawn]


@given(sizes_of_edits, st.integers(0, 3))
def test_every_edit_keeps_a_question_if_the_limit_suffices(sizes: list[int], seed: int) -> None:
    drawn = earlier_questions(line(sizes), len(sizes), seed)
    assert {one.edit.version.number for one in drawn} == set(range(1, len(sizes) + 1))


def test_another_seed_draws_others() -> None:
    draws = {tuple(one.question.id for one in earlier_questions(line([8] * 5), 10, seed)) for seed in range(4)}
    assert len(draws) == 4


def test_reward_and_audit_questions_are_both_in_the_exam() -> None:
    asked = earlier_questions([edit(1, task("cups", "Which?", "Who?"))], 400, 0)
    assert {one.question.split for one in asked} == {"reward", "audit"}


def test_a_task_with_two_accepted_edits_is_in_the_exam_once_under_the_newest() -> None:
    cups = task("cups", "Which?", "Who?")
    asked = earlier_questions([edit(1, cups), edit(2, task("forks", "How?")), edit(3, cups)], 400, 0)
    assert sorted((one.question.id, one.edit.version.tag) for one in asked) == [
        ("cups/Which?", "v0003"),
        ("cups/Who?", "v0003"),
        ("forks/How?", "v0002"),
    ]


def test_an_update_of_a_fact_undoes_nothing_and_other_facts_and_titles_stay_guarded() -> None:
    cups = task("cups", "Which colour?", "Which price?", title="Cups")
    forks = task("forks", "Which colour?", title="Forks")
    asked = earlier_questions([edit(1, cups), edit(2, forks)], 400, 0)
    update = task("cups again", "which  COLOUR?", "Which size?", title="cups")
    assert [one.question.id for one in questions_at_risk(asked, update)] == [
        "cups/Which price?",
        "forks/Which colour?",
    ]


def test_a_task_cannot_undo_itself_and_without_a_task_every_question_is_at_risk() -> None:
    cups, forks = task("cups", "Which?"), task("forks", "How?")
    asked = earlier_questions([edit(1, cups), edit(2, forks)], 400, 0)
    assert [one.question.id for one in questions_at_risk(asked, cups)] == ["forks/How?"]
    assert questions_at_risk(asked, None) == asked
