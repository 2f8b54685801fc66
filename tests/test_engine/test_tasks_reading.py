from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.input_files.located_yaml import LocatedYaml
from engine.tasks import task_files
from engine.tasks.documents import title_and_context
from engine.tasks.reading import TaskSet, read_tasks
from engine.tasks.task_input import TaskRoom
from store.errors import WrongUseError
from store.hashing import hash_file

YAML = """\
- title: Returns
  context: |
    Items can be sent back within 30 days.
    The shop is in Oslo.
  questions:
    - question: How long?
      answer: 30
      grader: number
      options: {abs_tolerance: 0.5}
    - question: Is it open on 2016-02-07?
      answers: [no, "no, never"]
      split: audit
    - question: Where is it?
      answer: Oslo
- title: Cups
  context: Cups are blue.
  questions: [{question: "Which colour?", answer: blue}]
"""


def read(root: Path, *names: str, audit_share: float = 0.25, **options: Any) -> TaskSet:
    return read_tasks([root / name for name in names], audit_share=audit_share, root=root, **options)


def problems_of(root: Path, *names: str, **options: Any) -> list[str]:
    with pytest.raises(WrongUseError) as caught:
        read(root, *names, **options)
    return caught.value.problems


def task(*questions: tuple[str, str], title: str = "T", context: str = "C") -> dict[str, Any]:
    return {"title": title, "context": context, "questions": [{"question": q, "answer": a} for q, a in questions]}


def write_jsonl(path: Path, *tasks: object) -> None:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in tasks), encoding="utf-8")


def test_yaml_texts_are_taken_as_written_and_options_as_values(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(YAML, encoding="utf-8")
    returns, cups = read(tmp_path, "a.yaml").tasks
    assert returns.title == "Returns"
    assert returns.context == "Items can be sent back within 30 days.\nThe shop is in Oslo.\n"
    assert returns.source == "a.yaml:1"
    assert cups.source == "a.yaml:15"
    how_long, is_open, where = returns.questions
    assert (how_long.answers, how_long.grader, how_long.grader_options) == (["30"], "number", {"abs_tolerance": 0.5})
    assert (is_open.text, is_open.answers) == ("Is it open on 2016-02-07?", ["no", "no, never"])
    assert (is_open.split, how_long.split, where.grader) == ("audit", "reward", "exact")
    assert [question.position for question in returns.questions] == [0, 1, 2]
    assert {question.task_id for question in returns.questions} == {returns.id}


def test_every_file_format_makes_the_same_task(tmp_path: Path) -> None:
    one = task(("Which?", "blue"), ("Who?", "Ada"), title="Cups here")
    (tmp_path / "one.yaml").write_text(json.dumps(one), encoding="utf-8")
    write_jsonl(tmp_path / "lines.jsonl", one)
    (tmp_path / "flat.json").write_text(json.dumps([one]), encoding="utf-8")
    qas = [{"id": str(n), "question": q["question"], "answers": [{"text": q["answer"], "answer_start": 0}] * 3}
           for n, q in enumerate(one["questions"])]  # fmt: skip
    official = {"version": "1.1", "data": [{"title": "Cups_here", "paragraphs": [{"context": "C", "qas": qas}]}]}
    (tmp_path / "official.json").write_text(json.dumps(official), encoding="utf-8")
    names = ("one.yaml", "lines.jsonl", "flat.json", "official.json")
    assert len({read(tmp_path, name).tasks[0].id for name in names}) == 1
    assert len(problems_of(tmp_path, *names)) == 3


def test_a_document_and_its_question_file_make_a_task(tmp_path: Path) -> None:
    (tmp_path / "r.md").write_bytes(b"\n# Return *policy* ##\r\n\r\nNow 30 days.\r\n")
    (tmp_path / "r.questions.yaml").write_text("- question: How long?\n  answer: 30 days\n", encoding="utf-8")
    (tmp_path / "plain.txt").write_text("Was 14 days.", encoding="utf-8")
    write_jsonl(tmp_path / "plain.questions.jsonl", {"question": "Before?", "answer": "14 days"})
    found = read_tasks([tmp_path], audit_share=0.25, root=tmp_path)
    assert [(t.title, t.context, t.source) for t in found.tasks] == [
        ("plain", "Was 14 days.", "plain.questions.jsonl:1"),
        ("Return *policy*", "Now 30 days.", "r.questions.yaml:1"),
    ]
    assert [t.document_id for t in found.tasks] == [document.id for document in found.documents]
    assert [(d.path, d.content_hash) for d in found.documents] == [
        (name, hash_file(tmp_path / name)) for name in ("plain.txt", "r.md")
    ]


@pytest.mark.parametrize(
    ("text", "title", "context"),
    [
        ("intro\n## Real one\nrest", "Real one", "intro\n## Real one\nrest"),
        ("```\n# code\n```\n# Real\n", "Real", "```\n# code\n```\n# Real"),
        ("#nothing\n", "stem", "#nothing"),
        ("---\n# by a tool\ntitle: Policy\n---\n\n# Returns\n\nIn 30 days.\n", "Returns", "In 30 days."),
        ("---\ntitle: Policy\ntags: [shop]\n---\nIn 31 days.\n", "Policy", "In 31 days."),
        ("---\n---\nText.", "stem", "Text."),
        ("---\n# only a comment\n---\nText.", "stem", "Text."),
        ("+++\n# Hugo\ntitle = 'Policy'\n+++\n\nIn 32 days.\n", "Policy", "In 32 days."),
        ("---\ntitle: [broken\n---\nText.", "stem", "Text."),
        ("---\nA text between two rules.\n---\nMore.", "stem", "---\nA text between two rules.\n---\nMore."),
        ("---\nNo end: here\n", "stem", "---\nNo end: here"),
        ("<!--\n# licence\n-->\n# True\n\nText.\n", "True", "Text."),
        ("A <!-- note --> b.\n<!-- never closed\n# X", "stem", "A  b."),
        ("```\n<!-- code -->\n```\nText", "stem", "```\n<!-- code -->\n```\nText"),
        (
            "````md\n```\n# in code\n```\n````\n\n# True\n\nT.",
            "True",
            "````md\n```\n# in code\n```\n````\n\n# True\n\nT.",
        ),
        ("~~~\n# in code\n```\n# still\n~~~\n# True", "True", "~~~\n# in code\n```\n# still\n~~~\n# True"),
        ("True\n====\n\nText.\n", "True", "Text."),
        ("True title\n---\nText.", "True title", "Text."),
        ("- item\n---\nText", "stem", "- item\n---\nText"),
        ("one\ntwo\n---\nText", "stem", "one\ntwo\n---\nText"),
        ("[![build](x.svg)](y)\n\n# True\n\nText.", "True", "[![build](x.svg)](y)\n\n# True\n\nText."),
    ],
)
def test_titles_and_texts_of_markdown(text: str, title: str, context: str) -> None:
    assert title_and_context(text, Path("stem.md")) == (title, context)


def test_a_text_file_has_no_headings() -> None:
    assert title_and_context("# No heading in text\n", Path("stem.txt")) == ("stem", "# No heading in text")


@pytest.mark.parametrize(
    ("document", "questions"),
    [
        ("Returns.MD", "Returns.questions.yaml"),
        ("r.md", "r.Questions.YAML"),
        ("cafe\u0301.md", "caf\u00e9.questions.yml"),
    ],
)
def test_a_document_finds_its_questions_whatever_the_case_of_suffixes_and_the_form_of_names(
    tmp_path: Path, document: str, questions: str
) -> None:
    (tmp_path / document).write_text("# R\n\nText", encoding="utf-8")
    (tmp_path / questions).write_text("- {question: How many, answer: 30}", encoding="utf-8")
    for paths in ([tmp_path], [tmp_path / document], [tmp_path / questions]):
        assert [task.title for task in read_tasks(paths, audit_share=0).tasks] == ["R"]


def test_all_problems_are_reported_together_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "a.yaml").write_text(
        """\
- title: Returns
  context: Items can be sent back within 30 days.
  questions:
    - {question: "How long?", answer: 30, grader: number, options: {abs_tolerance: lots}}
    - {question: "how  LONG?", answer: 30}
    - {question: "Who?", answer: ""}
    - {question: "Why?", answer: x, grader: exakt}
    - {question: "What?", answer: x, grader: regex, options: {pattern: "["}}
    - {question: "When?", answer: never, grader: number}
    - {question: "Where?"}
    - {question: "Which?", answer: a, gradr: exact}
    - {question: "Whose?", answer: a, split: both}
- title: Empty
  context: "  "
  questions: []
- title: Lacking
  contxt: x
- 3
""",
        encoding="utf-8",
    )
    (tmp_path / "tasks" / "b.jsonl").write_text(
        '{"title": "A\\nB", "context": "c", "questions": [{"question": 1, "answer": "x"}]}\n\n{]\n'
        '{"title": "\\ud800", "title": "x"}\n',
        encoding="utf-8",
    )
    (tmp_path / "tasks" / "c.md").write_text("# C", encoding="utf-8")
    (tmp_path / "tasks" / "d.questions.yaml").write_text("[]", encoding="utf-8")
    (tmp_path / "tasks" / "e.yaml").write_bytes(b"a\nb: \xff")
    (tmp_path / "tasks" / "f.csv").write_text("", encoding="utf-8")
    (tmp_path / "tasks" / ".hidden").write_text("", encoding="utf-8")
    problems = problems_of(tmp_path, "tasks", "absent.yaml", room=TaskRoom(len, 40, 16))
    for expected in (
        "tasks/a.yaml:1: title and context are 46 tokens long, but the model's window leaves room for 40",
        "tasks/a.yaml:4: question 1: options: abs_tolerance must be a number of at least 0 (is 'lots')",
        "tasks/a.yaml:5: question 2: the same context and question as tasks/a.yaml:4: question 1",
        "tasks/a.yaml:6: question 3: answer: is empty",
        "tasks/a.yaml:7: question 4: grader: unknown grader 'exakt'; did you mean 'exact'?",
        "tasks/a.yaml:8: question 5: options: pattern is not a regular expression: unterminated character set at",
        "tasks/a.yaml:9: question 6: answer: the answer 'never' is wrong by its own grader 'number'",
        "tasks/a.yaml:10: question 7: has no answer",
        "tasks/a.yaml:11: question 8: gradr: unknown key; did you mean 'grader'?",
        "tasks/a.yaml:12: question 9: split: must be reward or audit (is 'both')",
        "tasks/a.yaml:14: context: is empty",
        "tasks/a.yaml:15: questions: is empty",
        "tasks/a.yaml:16: context: missing",
        "tasks/a.yaml:16: questions: missing",
        "tasks/a.yaml:17: contxt: unknown key; did you mean 'context'?",
        "tasks/a.yaml:18: must have keys such as title and context (is 3)",
        "tasks/b.jsonl:1: title: must be a single line",
        "tasks/b.jsonl:1: question 1: question: must be text (is 1)",
        "tasks/b.jsonl:3: not valid JSON: Expecting property name enclosed in double quotes (column 2)",
        "tasks/b.jsonl:4: the key 'title' appears twice",
        "tasks/c.md: no question file next to it (c.questions.yaml)",
        "tasks/d.questions.yaml: no document (.md or .txt) next to this question file",
        "tasks/e.yaml:2: not UTF-8",
        "tasks/f.csv: tasks cannot be read from this kind of file; supported: .yaml, .yml, .jsonl, .json, .txt, .md",
        "absent.yaml: does not exist",
    ):
        assert any(problem.startswith(expected) for problem in problems), expected
    assert len(problems) == 25
    of_a = [int(problem.split(":")[1]) for problem in problems if problem.startswith("tasks/a.yaml")]
    assert of_a == sorted(of_a)


def test_the_same_task_twice_is_one_problem(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", task(("q", "a"), ("r", "b")), task(("q", "a"), ("r", "b")))
    assert problems_of(tmp_path, "a.jsonl") == ["a.jsonl:2: the same task as a.jsonl:1"]


def test_a_file_given_twice_is_read_once(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", task(("q", "a")))
    assert len(read_tasks([tmp_path, tmp_path / "a.jsonl"], audit_share=0).tasks) == 1


def test_a_task_of_audit_questions_alone_is_refused(tmp_path: Path) -> None:
    only = task(("q", "a"))
    only["questions"][0]["split"] = "audit"
    write_jsonl(tmp_path / "a.jsonl", only)
    assert problems_of(tmp_path, "a.jsonl") == [
        "a.jsonl:1: all questions are for the audit; at least one must give the reward"
    ]


def test_squad_questions_that_repeat_are_merged_with_all_their_answers(tmp_path: Path) -> None:
    data = [task(("Who won?", "Denver"), ("When?", "2016"), ("Who  won?", "Broncos"))]
    (tmp_path / "a.json").write_text(json.dumps(data, indent=1), encoding="utf-8")
    (found,) = read(tmp_path, "a.json").tasks
    assert [question.answers for question in found.questions] == [["Denver", "Broncos"], ["2016"]]


def test_problems_in_squad_json_have_lines(tmp_path: Path) -> None:
    data = [task(("Who?", "Ada")), task(("Which?", "")), task(("Whö?", "x"), context="")]
    (tmp_path / "a.json").write_text(json.dumps(data, indent=1), encoding="utf-8")
    lines = (tmp_path / "a.json").read_text(encoding="utf-8").splitlines()
    third = [number for number, line in enumerate(lines, start=1) if '"title"' in line][2]
    which = next(number for number, line in enumerate(lines, start=1) if "Which?" in line)
    assert problems_of(tmp_path, "a.json") == [
        f"a.json:{which}: question 1: answer: is empty",
        f"a.json:{third}: context: is empty",
    ]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("[]", "a.json: must be SQuAD v1.1"),
        ('{"data": 3}', "a.json: data: must be a list of articles"),
        ('{"data": [{"title": "x"}]}', "a.json: data[0]: must be an article"),
        ('{"data": [{"title": "x", "paragraphs": [3]}]}', "a.json: data[0].paragraphs[0]: must be a paragraph"),
        ('{"data": [{"title": "x", "paragraphs": [{"qas": [{"answers": [], "is_impossible": true}]}]}]}',
         "a.json: data[0].paragraphs[0]: qas[0]: a question without an answer"),
        ("[NaN]", "a.json: NaN is not a JSON value"),
        ('[\n{"a": 1,}]', "a.json:2: not valid JSON"),
        ("[" * 100_000, "a.json: not valid JSON: nested too deep"),
    ],
)  # fmt: skip
def test_what_is_not_squad_is_refused(tmp_path: Path, data: str, problem: str) -> None:
    (tmp_path / "a.json").write_text(data, encoding="utf-8")
    assert problems_of(tmp_path, "a.json")[0].startswith(problem)


def test_a_large_squad_file_loads_with_its_share_of_audit_questions(tmp_path: Path) -> None:
    passages = [
        {
            "title": f"Passage {number}",
            "context": f"Passage {number} has {number} pages.",
            "questions": [
                {"question": f"How many pages has {number}, wording {wording}?", "answer": str(number)}
                for wording in range(6)
            ],
        }
        for number in range(300)
    ]
    (tmp_path / "squad.json").write_text(json.dumps(passages), encoding="utf-8")
    found = read_tasks([tmp_path / "squad.json"], audit_share=0.25, root=tmp_path)
    assert len(found.tasks) == 300
    questions = [question for one in found.tasks for question in one.questions]
    assert len(questions) == len({question.id for question in questions}) == 1800
    assert 0.18 < sum(question.split == "audit" for question in questions) / len(questions) < 0.25
    assert all(one.source.startswith("squad.json:") for one in found.tasks)


JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["title", "context", "questions", "question", "answer", "answers", "options", "data", "qas"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)
SUFFIXES = st.sampled_from([".yaml", ".jsonl", ".json", ".md", ".questions.yaml", ".questions.jsonl"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.one_of(
        st.binary(max_size=60),
        st.text("ab:{}[]-&*!#'\"\n 1?|>%@", max_size=60).map(str.encode),
        JSON_VALUES.map(lambda value: json.dumps(value).encode()),
        JSON_VALUES.map(lambda value: json.dumps([task(("q", "a")), value]).encode()),
    ),
    SUFFIXES,
)
def test_any_bytes_make_tasks_or_a_wrong_use_error(tmp_path: Path, content: bytes, suffix: str) -> None:
    for old in tmp_path.iterdir():
        old.unlink()
    (tmp_path / "x.md").write_bytes(content if suffix == ".md" else b"# Title\ntext")
    (tmp_path / f"x{suffix}").write_bytes(content)
    if suffix == ".md":
        write_jsonl(tmp_path / "x.questions.jsonl", {"question": "q", "answer": "a"})
    target = tmp_path / ("x.md" if "questions" in suffix else f"x{suffix}")
    with suppress(WrongUseError):
        assert read_tasks([target], audit_share=0.5).tasks


AWKWARD = st.sampled_from(
    ["!!binary ", "!!set ", "!!timestamp ", "&a ", "*a", "<<: ", "? ", "!!int ", ".inf", "~", '"\\ud800"',
     '"\\Uffffffff"', "[", "]", "{", "}", "\n", "  ", "- ", ": ", "|", "\u2028",
     "\ufeff", "!foo ", "%YAML 9.9\n", "---\n", "=",
     "1" * 5000, "0x" + "f" * 6000]
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(YAML)), AWKWARD), min_size=1, max_size=4))
def test_yaml_with_awkward_insertions_makes_tasks_or_problems_of_that_file(
    tmp_path: Path, insertions: list[tuple[int, str]]
) -> None:
    text = YAML
    for position, inserted in insertions:
        text = text[:position] + inserted + text[position:]
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    try:
        assert read(tmp_path, "a.yaml").tasks
    except WrongUseError as error:
        strangers = [problem for problem in error.problems if not problem.startswith("a.yaml")]
        if strangers:
            raise AssertionError(strangers) from error


def test_the_lines_of_a_file_are_looked_at_once_however_many_tasks_it_has() -> None:
    class Lines(dict[Any, int]):
        passes = 0

        def items(self) -> Any:
            Lines.passes += 1
            return super().items()

    written = [{"title": f"T{number}"} for number in range(50)]
    lines = Lines({(): 1})
    lines.update({(number, "title"): number for number in range(50)})
    located = LocatedYaml(written, written, lines)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(task_files, "parse_located_yaml", lambda _: located)
        found = task_files.read_yaml_tasks("", "t.yaml")
    assert [source.lines for source in found.sources] == [{("title",): number} for number in range(50)]
    assert Lines.passes == 1
