"""Tasks of lm-evaluation-harness in suite files: what is read of them, and that what cannot be asked names its key."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.retention import harness_suite
from engine.retention.answer_part import AnswerPart, answer_in
from engine.retention.harness_prompts import build, drawn, full_retention
from engine.retention.reading import read_retention
from engine.retention.suites import HarnessPrompts, RetentionPrompt
from store.errors import WrongUseError
from tests.harness_scenario import CHOSEN, WRITTEN, write_suite, write_task

if TYPE_CHECKING:
    from pathlib import Path

    from store.workspace import Workspace

CODE_KEYS = ("process_docs", "process_results", "custom_dataset", "class", "unsafe_code")


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading needs only that the harness is there; these tests do not need even that."""
    monkeypatch.setattr(harness_suite, "find_spec", lambda _: SimpleNamespace())


def read(workspace: Workspace) -> HarnessPrompts:
    (suite,) = read_retention(workspace).suites
    assert suite.prompts == ()
    assert suite.to_build is not None
    return suite.to_build


def problems_of(workspace: Workspace) -> list[str]:
    with pytest.raises(WrongUseError) as caught:
        read_retention(workspace)
    return caught.value.problems


def test_a_suite_names_a_task_by_a_path_from_its_own_folder(tmp_path: Path) -> None:
    workspace = write_task(tmp_path, **WRITTEN)
    write_suite(workspace, limit=5, group="shop", allowed_losses=0.1, anchors=["The shop is in Oslo."])
    found = read(workspace)
    assert (found.place, found.limit, found.grader, found.group) == ("retention/facts.yaml:2", 5, "exact", "shop")
    assert (found.task.file, found.task.output_type) == ("benchmarks/facts.yaml", "generate_until")
    assert {split: [path.name for path in paths] for split, paths in found.task.data.by_split.items()} == {
        "test": ["facts.jsonl"],
        "train": ["examples.jsonl"],
    }
    assert "generation_kwargs" not in found.task.config


def test_reading_does_not_load_the_harness(tmp_path: Path) -> None:
    before = {name for name in sys.modules if name.split(".")[0] in ("lm_eval", "datasets")}
    read(write_task(tmp_path, **CHOSEN))
    assert {name for name in sys.modules if name.split(".")[0] in ("lm_eval", "datasets")} == before


def test_without_the_harness_the_problem_has_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness_suite, "find_spec", lambda _: None)
    assert problems_of(write_task(tmp_path, **WRITTEN)) == [
        "retention/facts.yaml:2: lm-evaluation-harness is not installed: pip install 'seal-console[lm-eval]'"
    ]


def test_stop_texts_and_a_pattern_say_which_part_of_a_text_is_graded(tmp_path: Path) -> None:
    task = {
        **WRITTEN,
        "generation_kwargs": {"until": ["\n\n", "\n", "."], "temperature": 0.0},
        "filter_list": [
            {"name": "n", "filter": [{"function": "regex", "regex_pattern": r"(\d+)", "group_select": -1}]}
        ],
    }
    part = read(write_task(tmp_path, **task)).task.part
    assert part == AnswerPart((".",), r"(\d+)", -1)
    assert answer_in("first 3, then 17. Not 5", part) == "17"
    assert answer_in("none at all", part) == ""


@pytest.mark.parametrize(
    ("metrics", "per_character"),
    [(None, False), (["acc"], False), (["acc", "acc_norm"], False), (["acc_norm"], True)],
)
def test_only_acc_norm_by_itself_divides_by_the_options_length(
    tmp_path: Path, metrics: list[str] | None, per_character: bool
) -> None:
    listed = None if metrics is None else [{"metric": metric} for metric in metrics]
    found = read(write_task(tmp_path, **{**CHOSEN, "metric_list": listed}))
    assert found.task.per_character is per_character


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        *(({key: "x"}, f"{key}: code of a task is not run") for key in CODE_KEYS),
        ({"include": "base.yaml"}, "include: other files are not read"),
        ({"use_prompt": "promptsource:*"}, "prompts from the network are not used"),
        ({"doc_to_txt": "x"}, "unknown key 'doc_to_txt'; did you mean 'doc_to_text'?"),
        ({"dataset_path": "allenai/ai2_arc"}, "dataset_path: 'allenai/ai2_arc' is no data set on this machine"),
        ({"dataset_path": None}, "dataset_path: None is no data set on this machine"),
        ({"dataset_name": "ARC-Easy"}, "dataset_name: data files have no parts"),
        ({"dataset_kwargs": None}, "dataset_kwargs.data_files missing"),
        ({"dataset_kwargs": {"data_files": "https://example.org/a.json"}}, "the network is never used"),
        ({"dataset_kwargs": {"data_files": {"test": "none.json"}}}, "data_files: there is no file 'none.json'"),
        ({"dataset_kwargs": {"data_files": {"test": 5}}}, "data_files must be names of files"),
        ({"test_split": "tset"}, "test_split: the data has no split 'tset'; it has test, train"),
        ({"test_split": ["test"]}, "test_split: the data has no split ['test']"),
        ({"test_split": None}, "neither test_split nor validation_split"),
        ({"num_fewshot": 2}, "num_fewshot: name a fewshot_split"),
        ({"num_fewshot": -1, "fewshot_split": "train"}, "num_fewshot must be a whole number"),
        ({"fewshot_config": {"sampler": "balanced"}}, "fewshot_config.sampler must be default or first_n"),
        ({"fewshot_config": {"process_docs": "x"}}, "unknown key 'process_docs'"),
        ({"doc_to_text": None}, "doc_to_text missing"),
        ({"doc_to_text": 5}, "doc_to_text must be text"),
        ({"output_type": "loglikelihood"}, "output_type: 'loglikelihood' cannot be asked"),
        ({"output_type": "multiple_choice", "generation_kwargs": None}, "multiple_choice needs doc_to_choice"),
        ({"doc_to_choice": ["a", "b"]}, "doc_to_choice: only tasks of the type multiple_choice"),
        ({"repeats": 3}, "repeats: a prompt is asked once"),
        ({"generation_kwargs": None}, 'write until: ["\\n"]'),
        ({"generation_kwargs": {"until": ["Question:"]}}, 'write until: ["\\n"]'),
        ({"generation_kwargs": {"until": ["\n"], "temperature": 0.7}}, "temperature: exams are greedy"),
        ({"generation_kwargs": {"until": ["\n"], "max_gen_toks": 9}}, "generation_kwargs.max_gen_toks"),
        ({"generation_kwargs": {"until": ["\n"], "top_k": 9}}, "generation_kwargs.top_k has no match in exams"),
        ({"filter_list": []}, "filter_list must hold one filter"),
        ({"filter_list": [{"filter": [{"function": "majority_vote"}]}]}, "filter_list: 'majority_vote' has no match"),
        ({"filter_list": [{"filter": [{"function": "regex"}]}]}, "regex_pattern: missing"),
        ({"filter_list": [{"filter": [{"function": "regex", "regex_pattern": "("}]}]}, "no regular expression"),
        ({"metric_list": [{"metric": "bleu"}]}, "metric_list: 'bleu'"),
        ({"metric_list": [{"metric": "exact_match", "regexes_to_ignore": [","]}]}, "unknown key 'regexes_to_ignore'"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_as_the_harness_means_it_is_a_problem_with_its_key(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    problems = problems_of(write_task(tmp_path, **{**WRITTEN, **changed}))
    assert any(said in problem for problem in problems), problems
    assert all(problem.startswith("benchmarks/facts.yaml:") for problem in problems)


def test_code_that_a_tag_calls_and_yaml_that_is_none_are_problems_with_their_line(tmp_path: Path) -> None:
    workspace = write_task(tmp_path, **WRITTEN)
    task = tmp_path / "benchmarks" / "facts.yaml"
    task.write_text("task: facts\nprocess_docs: !function code.run\n")
    assert problems_of(workspace) == ["benchmarks/facts.yaml:2: !function: code of a task is not run"]
    task.write_text("- 1")
    assert problems_of(workspace) == [
        "benchmarks/facts.yaml:1: a task of the harness must be keys with values (is a list)"
    ]
    task.unlink()
    (problem,) = problems_of(workspace)
    assert "facts.yaml: cannot be read" in problem


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"limit": 0}, "limit must be a whole number of prompts above 0; it is 0"),
        ({"limit": 2.5}, "limit must be a whole number of prompts above 0; it is 2.5"),
        ({"prompts": [{"question": "Which?", "answers": "blue"}]}, "has both lm_eval and prompts"),
        ({"lm_eval": ["a"]}, "lm_eval must be text"),
        ({"grader": "exakt"}, "unknown grader 'exakt'"),
    ],
)
def test_a_suite_that_names_a_task_wrongly_is_told_so(tmp_path: Path, keys: dict[str, Any], said: str) -> None:
    workspace = write_task(tmp_path, **WRITTEN)
    write_suite(workspace, **keys)
    assert any(said in problem for problem in problems_of(workspace))


def test_a_limit_without_a_task_and_a_grader_for_choices_are_problems(tmp_path: Path) -> None:
    workspace = write_task(tmp_path, **CHOSEN)
    write_suite(workspace, grader="exact")
    assert problems_of(workspace) == [
        "retention/facts.yaml:2: a grader cannot be given: the answers of this task are chosen by likelihood"
    ]
    (workspace.retention_folder / "facts.yaml").write_text("limit: 5\nanchors: [It is blue.]\n")
    assert problems_of(workspace) == [
        "retention/facts.yaml:1: limit is for the prompts of lm_eval; this suite has none"
    ]


def test_a_grader_of_the_suite_stands_for_metrics_that_none_matches(tmp_path: Path) -> None:
    workspace = write_task(tmp_path, **{**WRITTEN, "metric_list": [{"metric": "bleu"}]})
    write_suite(workspace, grader="token_f1")
    assert read(workspace).grader == "token_f1"


def test_where_the_harness_fails_the_problem_names_the_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = write_task(tmp_path, **WRITTEN)
    monkeypatch.setitem(sys.modules, "engine.retention.harness_documents", None)
    prompts, problems = build(read(workspace))
    assert prompts == []
    assert "retention/facts.yaml:2: the harness cannot build benchmarks/facts.yaml: ModuleNotFoundError" in problems[0]
    with pytest.raises(WrongUseError) as caught:
        full_retention(workspace)
    assert caught.value.problems == problems


@given(st.lists(st.text(max_size=5), max_size=20), st.integers(1, 25), st.randoms())
def test_what_a_limit_draws_depends_on_no_order_and_keeps_it(texts: list[str], limit: int, order: Any) -> None:
    prompts = [RetentionPrompt(text, True, ("x",), "exact", {}, "", "p") for text in dict.fromkeys(texts)]
    found = drawn(prompts, limit)
    assert len(found) == min(limit, len(prompts))
    assert [prompt for prompt in prompts if prompt in found] == found
    shuffled = list(prompts)
    order.shuffle(shuffled)
    assert {prompt.text for prompt in drawn(shuffled, limit)} == {prompt.text for prompt in found}
    assert set(map(id, found)) <= set(map(id, drawn(prompts, limit + 1)))


@given(st.text(), st.lists(st.text(min_size=1, max_size=2), max_size=3))
def test_an_answer_holds_none_of_the_texts_that_end_it(text: str, until: list[str]) -> None:
    found = answer_in(text, AnswerPart(tuple(until)))
    assert found in text
    assert not any(end in found for end in until)


def test_a_search_that_never_ends_is_an_error_with_the_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.retention.answer_part._SEARCH_S", 0.01)
    with pytest.raises(WrongUseError, match="takes too long"):
        answer_in("a" * 200 + "!", AnswerPart((), r"(a|aa)+(a|aa)+(a|aa)+$"))
