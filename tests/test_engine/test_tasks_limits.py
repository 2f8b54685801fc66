"""Rows of datasets, questions without an answer, answers out of reach, links and sizes of task files."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from engine.tasks.reading import read_tasks
from engine.tasks.task_input import TaskRoom
from tests.test_engine.test_tasks_reading import problems_of

if TYPE_CHECKING:
    from pathlib import Path


def rows(*entries: tuple[str, list[str]]) -> str:
    context = "The store in Oslo is led by Nora."
    lines = [
        {"id": str(n), "title": "The_store", "context": context, "question": text,
         "answers": {"text": answers, "answer_start": [0] * len(answers)}}
        for n, (text, answers) in enumerate(entries)
    ]  # fmt: skip
    return "".join(json.dumps(line) + "\n" for line in lines)


def test_rows_of_datasets_are_gathered_by_context(tmp_path: Path) -> None:
    text = rows(("Who leads it?", ["Nora"]), ("who leads  it?", ["Nora N."]), ("Where is it?", ["Oslo"]))
    (tmp_path / "rows.jsonl").write_text(text, encoding="utf-8")
    (task,) = read_tasks([tmp_path / "rows.jsonl"], audit_share=0).tasks
    assert task.title == "The store"
    assert [(one.text, one.answers) for one in task.questions] == [
        ("Who leads it?", ["Nora", "Nora N."]),
        ("Where is it?", ["Oslo"]),
    ]


def test_questions_without_an_answer_are_refused_or_left_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(rows(("Who leads it?", ["Nora"]), ("Why?", [])), encoding="utf-8")
    squad = {"data": [{"title": "T", "paragraphs": [
        {"context": "Oslo.", "qas": [{"question": "Where?", "answers": [{"text": "Oslo"}]},
                                     {"question": "Why?", "answers": [], "is_impossible": True}]},
        {"context": "Nothing.", "qas": [{"question": "When?", "answers": [], "is_impossible": True}]}]}]}  # fmt: skip
    (tmp_path / "squad.json").write_text(json.dumps(squad), encoding="utf-8")
    problems = problems_of(tmp_path, "rows.jsonl", "squad.json")
    assert len(problems) == 3
    assert all("--skip-unanswerable leaves such questions out" in problem for problem in problems)
    found = read_tasks([tmp_path], audit_share=0, skip_unanswerable=True)
    assert (len(found.tasks), found.left_out_questions) == (2, 3)


def test_answers_that_an_exam_can_never_hear_are_problems(tmp_path: Path) -> None:
    questions = [
        {"question": "Long?", "answer": "a b c d"},
        {"question": "One of them fits?", "answers": ["a b c d", "a b"]},
        {"question": "Lines?", "answer": "open the lid\npress"},
        {"question": "Some of it?", "answer": "a b c d", "grader": "token_f1"},
        {"question": "Within?", "answer": "a b c d e", "grader": "contains"},
    ]
    task = {"title": "T", "context": "C", "questions": questions}
    (tmp_path / "t.jsonl").write_text(json.dumps(task), encoding="utf-8")
    room = TaskRoom(lambda text: len(text.split()), 100, 3)
    problems = problems_of(tmp_path, "t.jsonl", room=room)
    assert [problem.split(": ", 2)[1] for problem in problems] == ["question 1", "question 3", "question 5"]
    assert "every accepted answer has 4 tokens or more, but exam.max_new_tokens" in problems[0]
    assert "no answer is a single line" in problems[1]


def test_links_out_of_a_folder_are_refused_unless_allowed(tmp_path: Path) -> None:
    folder, other = tmp_path / "tasks", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    for place in (folder, other):
        (place / "t.jsonl").write_text(
            json.dumps({"title": place.name, "context": place.name, "questions": [{"question": "Q?", "answer": "A"}]})
        )
    (folder / "within.jsonl").symlink_to(folder / "t.jsonl")
    assert len(read_tasks([folder], audit_share=0).tasks) == 1
    (folder / "linked").symlink_to(other)
    (folder / "linked" / "back").symlink_to(folder)
    (folder / "secret.jsonl").symlink_to(other / "t.jsonl")
    problems = problems_of(tmp_path, "tasks")
    assert [problem.split(":")[0].rsplit("/", 1)[1] for problem in problems] == ["linked", "secret.jsonl"]
    assert len(read_tasks([folder], audit_share=0, follow_links=True).tasks) == 2
    assert len(read_tasks([folder / "secret.jsonl"], audit_share=0).tasks) == 1


def test_files_that_are_too_large_or_no_files_are_refused_before_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_bytes(b"#" * 4_000_001)
    os.mkfifo(tmp_path / "pipe.yaml")
    problems = problems_of(tmp_path, "large.yaml", "pipe.yaml")
    assert "has 4,000,001 bytes, more than the 4,000,000 that such a file may have; split it" in problems[0]
    assert problems[1].endswith("pipe.yaml: not a regular file")
