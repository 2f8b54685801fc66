"""The import of lm-evaluation-harness tasks with the harness itself: its prompts, its choices, no network.

Skipped if the extra is not installed.
"""

from __future__ import annotations

import json
import socket
from contextlib import chdir
from typing import TYPE_CHECKING, Any

import pytest

from engine.bundled.world import known_things
from engine.exams.exam import ModelRef
from engine.loop.examine_version import examine_version
from engine.loop.session import open_session
from engine.retention.reading import read_retention, read_suites
from store.answers import ModelState
from store.errors import WrongUseError
from tests.harness_scenario import CHOSEN, DOCUMENTS, WRITTEN, write_task
from tests.system.workspaces import small_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from engine.retention.suites import Suite

pytest.importorskip("lm_eval", reason="the extra lm-eval is not installed")

FACTS = [
    {"q": relation.questions[0].format(n=thing.name), "a": thing.value(relation)}
    for thing in known_things()[:6]
    for relation in thing.kind.relations[:2]
]


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Refuse the network, and keep the data sets' cache in the test's own folder."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was used")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))


def imported(path: Path, **options: Any) -> tuple[Suite, dict[str, object]]:
    from engine.retention.lm_eval_import import ImportRequest, import_task  # noqa: PLC0415 - needs the extra

    out = path.parent / f"suite-{len(list(path.parent.iterdir()))}.jsonl"
    result = import_task(ImportRequest("facts", path, **options), out)
    (suite,) = read_suites([out], path.parent).suites
    return suite, result


def harness_requests(path: Path, shots: int) -> list[Any]:
    """What the harness itself would ask for a task."""
    from lm_eval.tasks import TaskManager  # noqa: PLC0415 - needs the extra

    with chdir(path.parent):
        task = TaskManager(include_defaults=False).load([str(path)])["tasks"]["facts"]
    task.set_config("num_fewshot", shots)
    task.set_fewshot_seed(1234)
    task.build_all_requests(rank=0, world_size=1)
    return list(task.instances)


@pytest.mark.parametrize("shots", [0, 3])
def test_prompts_are_those_of_the_harness(tmp_path: Path, shots: int) -> None:
    path = write_task(tmp_path / "b", **WRITTEN, fewshot_split="train", description="Answer briefly.\n")
    suite, result = imported(path, num_fewshot=shots)
    assert [list(prompt.answers) for prompt in suite.prompts] == [[one["a"]] for one in DOCUMENTS]
    assert [prompt.text for prompt in suite.prompts] == [one.args[0] for one in harness_requests(path, shots)]
    assert all(prompt.raw for prompt in suite.prompts)
    assert result == {"prompts": 12, "left_out": [], "notes": []}
    assert (suite.name, suite.allowed_losses) == ("facts", None)


def test_choices_are_those_of_the_harness(tmp_path: Path) -> None:
    path = write_task(tmp_path / "b", **CHOSEN, num_fewshot=2, fewshot_split="train")
    suite, _ = imported(path)
    ours = [
        (prompt.text, prompt.choices.delimiter + option)
        for prompt in suite.prompts
        if prompt.choices is not None
        for option in prompt.choices.options
    ]
    assert ours == [one.args for one in harness_requests(path, 2)]
    assert [prompt.answers for prompt in suite.prompts] == [
        (("blue", "dark green", "red")[number % 3],) for number in range(12)
    ]


@pytest.mark.parametrize(
    ("metrics", "per_character"),
    [(None, False), (["acc"], False), (["acc", "acc_norm"], False), (["acc_norm"], True)],
)
def test_only_acc_norm_alone_divides_by_the_length_of_a_choice(
    tmp_path: Path, metrics: list[str] | None, per_character: bool
) -> None:
    listed = None if metrics is None else [{"metric": metric} for metric in metrics]
    suite, _ = imported(write_task(tmp_path / "b", **CHOSEN, metric_list=listed))
    assert {prompt.choices.per_character for prompt in suite.prompts if prompt.choices} == {per_character}


def test_a_limit_leaves_prompts_out_and_changes_none(tmp_path: Path) -> None:
    path = write_task(tmp_path / "b", **WRITTEN, num_fewshot=3, fewshot_split="train")
    everything = [prompt.text for prompt in imported(path)[0].prompts]
    some = [prompt.text for prompt in imported(path, limit=5)[0].prompts]
    assert len(some) == 5
    assert [text for text in everything if text in some] == some != everything[:5]
    assert some == [prompt.text for prompt in imported(path, limit=5)[0].prompts]


def test_csv_is_read_and_a_document_that_repeats_is_written_once(tmp_path: Path) -> None:
    task = {**CHOSEN, "dataset_path": "csv", "dataset_kwargs": {"data_files": {"test": "facts.csv"}}}
    path = write_task(tmp_path / "b", **{**task, "doc_to_choice": ["blue", "red"], "doc_to_target": "colour"})
    (path.parent / "facts.csv").write_text("q,colour\nWhich cup?,red\nWhich cup?,red\nWhich pot?,blue\n")
    assert [prompt.answers for prompt in imported(path)[0].prompts] == [("red",), ("blue",)]


def test_a_group_of_tasks_becomes_one_suite_with_a_group_for_each(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "b", **WRITTEN).parent
    other = {**WRITTEN, "task": "others", "doc_to_text": "{{q}}"}
    (folder / "others.yaml").write_text(json.dumps(other))
    (folder / "all.yaml").write_text(json.dumps({"group": "all", "task": ["facts", "others"]}))
    from engine.retention.lm_eval_import import ImportRequest, import_task  # noqa: PLC0415 - needs the extra

    import_task(ImportRequest("all", folder, limit=4), folder / "suite.jsonl")
    (suite,) = read_suites([folder / "suite.jsonl"]).suites
    assert [prompt.group for prompt in suite.prompts] == ["facts"] * 4 + ["others"] * 4


def test_what_exams_do_otherwise_is_noted(tmp_path: Path) -> None:
    task = {
        **WRITTEN,
        "generation_kwargs": {"until": ["."], "max_gen_toks": 300},
        "metric_list": [{"metric": "exact_match"}, {"metric": "bleu"}],
        "filter_list": [{"name": "n", "filter": [{"function": "regex", "regex_pattern": r"(\d+)"}]}],
    }
    _, result = imported(write_task(tmp_path / "b", **task))
    assert result["notes"] == [
        "metrics that are not used: bleu",
        "answers end at the end of their first line here, not at the task's own stop texts",
        "exam.max_new_tokens limits answers here; the task allows 300 tokens",
        "filters that are not applied: regex; the grader sees the whole answer",
    ]


def test_documents_that_cannot_be_prompts_are_left_out_and_named(tmp_path: Path) -> None:
    documents = [DOCUMENTS[0], {**DOCUMENTS[1], "right": 7}, {**DOCUMENTS[2], "options": ["one"], "right": 0}]
    suite, result = imported(write_task(tmp_path / "b", documents, **CHOSEN))
    assert len(suite.prompts) == 1
    assert sorted(str(one) for one in result["left_out"]) == [  # type: ignore[attr-defined]
        "facts, document 2: its target 7 is not one of the choices",
        "facts, document 3: it has no list of two or more choices",
    ]


@pytest.mark.parametrize(
    ("changed", "options", "said"),
    [
        ({"doc_to_text": "{{nothing}}"}, {}, "cannot load 'facts': UndefinedError"),
        ({"dataset_kwargs": {"data_files": {"test": "nowhere.jsonl"}}}, {}, "cannot load 'facts'"),
        ({"doc_to_text": " "}, {}, "contains no prompt"),
        ({"output_type": "loglikelihood"}, {}, "has the output type loglikelihood"),
        ({"task": "other"}, {}, "holds the task other, not 'facts'"),
        ({}, {"grader": "exakt"}, "unknown grader 'exakt'"),
        ({}, {"grader": "number"}, "contains no prompt"),
    ],
)
def test_what_cannot_be_imported_is_an_error_and_writes_nothing(
    tmp_path: Path, changed: dict[str, Any], options: dict[str, Any], said: str
) -> None:
    path = write_task(tmp_path / "b", **{**WRITTEN, **changed})
    with pytest.raises(WrongUseError, match=said):
        imported(path, **options)
    assert not list(path.parent.glob("suite-*"))


def test_an_unknown_task_of_a_folder_is_named(tmp_path: Path) -> None:
    from engine.retention.lm_eval_import import ImportRequest, import_task  # noqa: PLC0415 - needs the extra

    folder = write_task(tmp_path / "b", **WRITTEN).parent
    with pytest.raises(WrongUseError, match="has no task 'fact' in"):
        import_task(ImportRequest("fact", folder), folder / "suite.jsonl")


def test_the_bundled_model_is_examined_with_imported_suites_of_both_kinds(tmp_path: Path) -> None:
    from engine.retention.lm_eval_import import ImportRequest, import_task  # noqa: PLC0415 - needs the extra

    workspace = small_workspace(tmp_path / "w", pages=1, train=1, held_out=0)
    others = [one["a"] for one in FACTS]
    documents = [
        {**one, "options": [one["a"], other], "right": 0}
        for one, other in zip(FACTS, [*others[2:], *others[:2]], strict=True)
        if one["a"] != other
    ]
    for name, task in (("written", WRITTEN), ("chosen", CHOSEN)):
        path = write_task(tmp_path / name, documents, **task)
        import_task(ImportRequest("facts", path), workspace.retention_folder / f"{name}.jsonl")
        file = workspace.retention_folder / f"{name}.jsonl"
        file.write_text(file.read_text().replace('"suite": "facts"', f'"suite": "{name}"', 1))
    with open_session(workspace, "test") as session:
        found = examine_version(session, None)
        verdicts = {gate["gate"]: gate["evidence"] for gate in found["against_base"]}
        again = examine_version(session, None)
    assert again == found
    assert verdicts.keys() == {"retention:chosen", "retention:written"}
    assert all(one["prompts"] == len(documents) for one in verdicts.values())
    assert all(one["right_before"] > len(documents) / 2 for one in verdicts.values()), verdicts


def test_the_harness_chooses_as_exams_do_with_the_same_model(tmp_path: Path) -> None:
    from lm_eval.api.instance import Instance  # noqa: PLC0415 - needs the extra
    from lm_eval.models.huggingface import HFLM  # noqa: PLC0415

    workspace = small_workspace(tmp_path / "w", pages=1, train=1, held_out=0)
    suite, _ = imported(write_task(tmp_path / "b", **CHOSEN))
    with open_session(workspace, "test") as session:
        assert read_retention(workspace).prompts == ()
        (answers,) = session.examiner.suite_answers(suite.prompts, [ModelRef(ModelState("base"), None)])
        ours = [answers[prompt.identity].text for prompt in suite.prompts]
        model = HFLM(pretrained=session.base.model, tokenizer=session.base.tokenizer, max_length=256, device="cpu")
        theirs = []
        for prompt in suite.prompts:
            assert prompt.choices is not None
            asked = [
                Instance("loglikelihood", {}, (prompt.text, prompt.choices.delimiter + option), at)
                for at, option in enumerate(prompt.choices.options)
            ]
            values = [value for value, _ in model.loglikelihood(asked, disable_tqdm=True)]
            theirs.append(prompt.choices.options[values.index(max(values))])
    assert ours == theirs
