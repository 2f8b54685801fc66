"""Tasks of lm-evaluation-harness on the real thing: its own prompts, its own choices, no network, and a whole exam.

Skipped where the extra is not installed.
"""

from __future__ import annotations

import socket
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest

from engine.bundled.world import known_things
from engine.generation.likelihoods import choose_options
from engine.generation.prompts import ChoicePrompt
from engine.loop.examine_version import examine_version
from engine.loop.session import open_session
from engine.retention.harness_prompts import full_retention
from store.errors import WrongUseError
from tests.harness_scenario import CHOSEN, DOCUMENTS, WRITTEN, write_suite, write_task
from tests.system.workspaces import small_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from store.workspace import Workspace

pytest.importorskip("lm_eval", reason="the extra lm-eval is not installed")

KNOWN = known_things()[:6]
FACTS = [
    {"q": relation.questions[0].format(n=thing.name), "a": thing.value(relation)}
    for thing in KNOWN
    for relation in thing.kind.relations[:2]
]


CHOICE = {**CHOSEN, "generation_kwargs": None}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was used")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def prompts_of(workspace: Workspace) -> list[str]:
    return [prompt.text for prompt in full_retention(workspace).prompts]


def harness_requests(workspace: Workspace, task: dict[str, Any]) -> list[Any]:
    """What the harness itself would ask for a task."""
    from lm_eval.api.task import ConfigurableTask  # noqa: PLC0415 - an extra, which may be missing

    folder = workspace.root / "benchmarks"
    files = {split: str(folder / name) for split, name in task["dataset_kwargs"]["data_files"].items()}
    own = deepcopy({**task, "dataset_kwargs": {"data_files": files, "cache_dir": str(workspace.root / "cache")}})
    found = ConfigurableTask(config=own)
    found.set_fewshot_seed(1234)
    found.build_all_requests(rank=0, world_size=1)
    return list(found.instances)


@pytest.mark.parametrize("shots", [0, 3])
def test_prompts_are_those_that_the_harness_puts_itself(tmp_path: Path, shots: int) -> None:
    task = {**WRITTEN, "num_fewshot": shots, "fewshot_split": "train", "description": "Answer briefly.\n"}
    workspace = write_task(tmp_path, **task)
    found = full_retention(workspace).prompts
    assert [list(prompt.answers) for prompt in found] == [[one["a"]] for one in DOCUMENTS]
    assert [prompt.place for prompt in found][:2] == [f"benchmarks/facts.yaml: document {at}" for at in (1, 2)]
    assert [prompt.text for prompt in found] == [one.args[0] for one in harness_requests(workspace, task)]


def test_choices_are_those_that_the_harness_puts_itself(tmp_path: Path) -> None:
    task = {**CHOSEN, "num_fewshot": 2, "fewshot_split": "train"}
    workspace = write_task(tmp_path, **task)
    found = full_retention(workspace).prompts
    ours = [
        (prompt.text, prompt.choices.delimiter + option)
        for prompt in found
        if prompt.choices is not None
        for option in prompt.choices.options
    ]
    assert ours == [one.args for one in harness_requests(workspace, task)]
    assert [prompt.answers for prompt in found] == [
        (("blue", "dark green", "red")[number % 3],) for number in range(12)
    ]


def test_a_limit_leaves_prompts_out_and_changes_none(tmp_path: Path) -> None:
    workspace = write_task(tmp_path, **{**WRITTEN, "num_fewshot": 3, "fewshot_split": "train"})
    everything = prompts_of(workspace)
    write_suite(workspace, limit=5)
    drawn = prompts_of(workspace)
    assert len(drawn) == 5
    assert [text for text in everything if text in drawn] == drawn != everything[:5]


def test_data_in_csv_is_read_and_a_document_that_comes_again_is_asked_once(tmp_path: Path) -> None:
    task = {**CHOSEN, "dataset_path": "csv", "dataset_kwargs": {"data_files": {"test": "facts.csv"}}}
    task |= {"doc_to_choice": ["blue", "red"], "doc_to_target": "colour"}
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "facts.csv").write_text("q,colour\nWhich cup?,red\nWhich cup?,red\nWhich pot?,blue\n")
    found = full_retention(write_task(tmp_path, **task)).prompts
    assert [prompt.answers for prompt in found] == [("red",), ("blue",)]


@pytest.mark.parametrize(
    ("changed", "documents", "said"),
    [
        ({"doc_to_text": "{{nothing}}"}, None, "the harness cannot build benchmarks/facts.yaml: UndefinedError"),
        ({"doc_to_text": "{{ ''.__class__.__mro__ }}"}, None, "SecurityError"),
        ({"doc_to_text": " "}, None, "document 1: doc_to_text gives no text"),
        ({"doc_to_target": " "}, None, "document 1: doc_to_target gives no answer"),
        ({}, [], "the harness cannot build benchmarks/facts.yaml"),
        (CHOICE, [DOCUMENTS[0], {**DOCUMENTS[1], "right": 7}], "document 2: doc_to_target gives 7, which is none"),
        (CHOICE, [{**DOCUMENTS[0], "options": ["one"]}], "list of two or more texts"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_a_problem_with_its_place(
    tmp_path: Path, changed: dict[str, Any], documents: list[dict[str, Any]] | None, said: str
) -> None:
    with pytest.raises(WrongUseError) as caught:
        full_retention(write_task(tmp_path, documents, **{**WRITTEN, **changed}))
    assert said in caught.value.problems[0]
    assert len(caught.value.problems) <= 6


def test_the_bundled_model_is_examined_by_tasks_of_both_kinds(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w", pages=1, train=1, held_out=0)
    others = [one["a"] for one in FACTS]
    documents = [
        {**one, "options": [one["a"], other], "right": 0}
        for one, other in zip(FACTS, [*others[2:], *others[:2]], strict=True)
        if one["a"] != other
    ]
    chosen = {**CHOSEN, "dataset_kwargs": {"data_files": {"test": "facts.jsonl"}}}
    write_task(workspace.root, documents, **chosen)
    (workspace.retention_folder / "facts.yaml").rename(workspace.retention_folder / "chosen.yaml")
    (workspace.root / "benchmarks" / "facts.yaml").rename(workspace.root / "benchmarks" / "chosen.yaml")
    (workspace.retention_folder / "chosen.yaml").write_text("lm_eval: ../benchmarks/chosen.yaml\n")
    write_task(workspace.root, documents, **WRITTEN)
    with open_session(workspace, "test") as session:
        found = examine_version(session, None)
        verdicts = {gate["gate"]: gate["evidence"] for gate in found["against_base"]}
        again = examine_version(session, None)
    assert again == found
    assert verdicts.keys() == {"retention:chosen", "retention:facts"}
    assert all(one["prompts"] == len(documents) for one in verdicts.values())
    assert all(one["right_before"] > len(documents) / 2 for one in verdicts.values()), verdicts


def test_choices_are_those_of_the_harness_with_the_same_model(tmp_path: Path) -> None:
    from lm_eval.api.instance import Instance  # noqa: PLC0415 - an extra, which may be missing
    from lm_eval.models.huggingface import HFLM  # noqa: PLC0415

    workspace = small_workspace(tmp_path / "w", pages=1, train=1, held_out=0)
    write_task(workspace.root, **CHOSEN)
    with open_session(workspace, "test") as session:
        prompts = full_retention(workspace).prompts
        asked = [
            ChoicePrompt(one.text, one.choices.options, one.choices.delimiter, one.choices.per_character, 0, one.place)
            for one in prompts
            if one.choices is not None
        ]
        ours = choose_options(session.base, [None], asked)
        model = HFLM(pretrained=session.base.model, tokenizer=session.base.tokenizer, max_length=256, device="cpu")
        theirs = []
        for prompt in prompts:
            assert prompt.choices is not None
            asked = [
                Instance("loglikelihood", {}, (prompt.text, prompt.choices.delimiter + option), at)
                for at, option in enumerate(prompt.choices.options)
            ]
            values = [value for value, _ in model.loglikelihood(asked, disable_tqdm=True)]
            theirs.append(prompt.choices.options[values.index(max(values))])
    assert ours == theirs
