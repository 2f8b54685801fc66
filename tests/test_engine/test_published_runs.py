from __future__ import annotations

import copy
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.graders.registry import grade_answer
from engine.lab.published_runs.records import PublishedRun, numbered, read_published_run
from engine.loop.export_sft import sft_rows
from engine.loop.reward import reward_of_answers
from engine.loop.select import score_candidate, select
from store.errors import WrongUseError
from store.hashing import canonical_json
from tests.published_run import best_rows, write_published_run

if TYPE_CHECKING:
    from pathlib import Path


def graded(rep: int, question: str, *, before: bool, after: bool) -> dict[str, Any]:
    return {
        "rep": rep,
        "question": question,
        "answer": "gold",
        "baseline_answer": "b",
        "adapter_answer": "a",
        "baseline_correct": before,
        "adapter_correct": after,
    }


def small_run() -> dict[str, Any]:
    """One passage, one self-edit, two repeats of two questions: 0.5 before, 0.5 and 1.0 after."""
    questions = [
        graded(0, "q", before=True, after=True),
        graded(0, "q", before=False, after=False),
        graded(1, "q", before=True, after=True),
        graded(1, "q", before=False, after=True),
    ]
    of_completion = {"baseline_mean": 0.5, "baseline_std": 0.0, "adapter_mean": 0.75, "adapter_std": 0.35355,
                     "gain_mean": 0.25}  # fmt: skip
    of_article = {"baseline_accuracy": 0.5, "adapter_mean_accuracy": 0.75, "adapter_std_over_completions": 0.0,
                  "mean_adapter_std_within_completions": 0.3536, "mean_gain": 0.25}  # fmt: skip
    overall = {"baseline_mean_accuracy": 0.5, "baseline_std_of_article_means": 0.0, "adapter_mean_accuracy": 0.75,
               "adapter_std_of_article_means": 0.0, "mean_adapter_std_over_completions": 0.0,
               "mean_adapter_std_within_completions": 0.3536, "mean_gain": 0.25}  # fmt: skip
    article = {
        "title": "T",
        "context": "C",
        "prompt": "P",
        "stats": of_article,
        "completions": [{"text": "one\ntwo", "stats": of_completion, "questions": questions}],
    }
    return {
        "overall": overall,
        "timestamp": "0508_015401",
        "model": "base",
        "dataset": "data/synthetic_data/eval/x.json",
        "split_newlines": True,
        "n_articles": 1,
        "k_completions": 1,
        "eval_times": 2,
        "lora_params": {"rank": 32, "lr": 0.001},
        "articles": [article],
    }


def read(tmp_path: Path, run: object) -> PublishedRun:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(run), encoding="utf-8")
    return read_published_run(path)


def problems_of(tmp_path: Path, run: object) -> list[str]:
    with pytest.raises(WrongUseError) as caught:
        read(tmp_path, run)
    return caught.value.problems


def test_a_small_run_in_full(tmp_path: Path) -> None:
    run = read(tmp_path, small_run())
    (task,) = run.tasks
    assert (task.title, task.imported, [question.text for question in task.questions]) == ("T", True, ["q", "q"])
    assert len({question.id for question in task.questions}) == 2
    assert {(question.grader, question.split) for question in task.questions} == {("published", "reward")}
    assert (run.round.imported, run.round.state) == (True, "done")
    assert run.round.settings["published"]["lora_params"] == {"rank": 32, "lr": 0.001}
    assert run.differences == []
    (found,) = run.candidates
    assert (found.candidate.role, found.candidate.state, found.candidate.imported) == ("held_out", "proposed", True)
    assert (found.candidate.edit_format, found.candidate.sequences) == ("published", ["T\none", "T\ntwo", "T\nC"])
    assert (found.reward.mean, found.reward.accuracy_after_per_repeat) == (0.25, (0.5, 1.0))
    assert [(update.repeat, update.steps, update.losses, update.adapter_hash) for update in found.updates] == [
        (0, 0, [], None),
        (1, 0, [], None),
    ]
    assert [(answer.repeat, answer.phase, answer.correct) for answer in found.answers[:4]] == [
        (0, "before", True),
        (0, "after", True),
        (0, "before", False),
        (0, "after", False),
    ]


def test_ids_follow_from_content_and_not_from_the_round(tmp_path: Path) -> None:
    one, other = read(tmp_path, small_run()), read(tmp_path, small_run())
    assert one.candidates[0].candidate.id == other.candidates[0].candidate.id
    later = numbered(one, 7)
    assert (later.round.number, later.candidates[0].candidate.round_number) == (7, 7)
    assert later.candidates[0].candidate.id == one.candidates[0].candidate.id


def test_the_same_passage_twice_is_one_task_with_more_candidates(tmp_path: Path) -> None:
    run = small_run()
    run["articles"].append(copy.deepcopy(run["articles"][0]))
    found = read(tmp_path, run)
    assert len(found.tasks) == 1
    assert [published.candidate.position for published in found.candidates] == [0, 1]
    assert len({published.candidate.id for published in found.candidates}) == 2


def test_figures_that_the_verdicts_do_not_bear_out_are_reported(tmp_path: Path) -> None:
    run = small_run()
    run["overall"]["mean_gain"] = 0.3
    run["articles"][0]["completions"][0]["stats"]["adapter_mean"] = 0.8
    del run["articles"][0]["stats"]["mean_gain"]
    run["eval_times"] = 3
    assert read(tmp_path, run).differences == [
        "eval_times: the file says 3, it has 2",
        "articles[0].completions[0].stats.adapter_mean: the file says 0.8000, recomputed 0.7500",
        "articles[0].stats.mean_gain: not in the file, recomputed 0.2500",
        "overall.mean_gain: the file says 0.3000, recomputed 0.2500",
    ]


def test_a_wrong_shape_names_file_and_json_path(tmp_path: Path) -> None:
    run = small_run()
    run["articles"][0]["completions"][0]["questions"][1]["adapter_correct"] = "yes"
    del run["articles"][0]["title"]
    assert problems_of(tmp_path, run) == [
        "run.json: articles[0].title: Field required",
        "run.json: articles[0].completions[0].questions[1].adapter_correct: Input should be a valid boolean",
    ]


def test_repeats_with_other_questions_are_refused(tmp_path: Path) -> None:
    run = small_run()
    run["articles"][0]["completions"][0]["questions"].pop()
    assert problems_of(tmp_path, run) == [
        "run.json: articles[0].completions[0].questions: repeat 1 has other questions than the first one"
    ]


def test_half_a_surrogate_pair_is_refused(tmp_path: Path) -> None:
    run = small_run()
    run["articles"][0]["context"] = "a\ud800"
    assert problems_of(tmp_path, run) == ["run.json: contains half a surrogate pair, which is not a character"]


def test_what_is_no_run_at_all_is_refused(tmp_path: Path) -> None:
    assert problems_of(tmp_path, [])[0].startswith("run.json: the file: Input should be")
    with pytest.raises(WrongUseError, match="not a published SEAL run") as caught:
        read_published_run(tmp_path / "absent.json")
    assert caught.value.problems == ["absent.json: cannot be read: No such file or directory"]
    (tmp_path / "bad.json").write_bytes(b'{"a": 1,\n}')
    with pytest.raises(WrongUseError) as caught:
        read_published_run(tmp_path / "bad.json")
    assert caught.value.problems[0].startswith("bad.json: line 2: not valid JSON")


JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), st.just("\ud800")),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=4,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), JSON_VALUES)
def test_any_part_replaced_gives_records_or_wrong_use(tmp_path: Path, walk: list[int], value: object) -> None:
    run: Any = small_run()
    place = run
    for step in walk:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = keys[step % len(keys)]
        if not isinstance(place[key], dict | list) or step == walk[-1]:
            place[key] = value
            break
        place = place[key]
    with suppress(WrongUseError):
        found = read(tmp_path, run)
        canonical_json([found.round.settings, [task.title for task in found.tasks]]).encode()


def test_paper_selection_over_a_published_run_gives_seals_own_rows(tmp_path: Path) -> None:
    run = read_published_run(write_published_run(tmp_path / "rank_iter0.json"))
    candidates = [published.candidate for published in run.candidates]
    selection = select(
        (score_candidate(p.candidate.id, p.candidate.task_id, p.candidate.position, p.reward) for p in run.candidates),
        mode="paper",
    )
    assert sft_rows(candidates, selection) == best_rows()


@pytest.mark.parametrize(
    ("evaluation", "candidates", "graded_answers", "role"), [(False, 250, 3750, "train"), (True, 50, 250, "held_out")]
)
def test_published_runs_are_read_whole(
    tmp_path: Path, *, evaluation: bool, candidates: int, graded_answers: int, role: str
) -> None:
    run = read_published_run(write_published_run(tmp_path / "run.json", evaluation=evaluation))
    assert (len(run.tasks), len(run.candidates), run.differences) == (50, candidates, [])
    assert sum(len(published.answers) for published in run.candidates) == 2 * graded_answers
    assert {published.candidate.role for published in run.candidates} == {role}
    assert {published.candidate.edit_format for published in run.candidates} == {"implications"}
    question_ids = {task.id: [question.id for question in task.questions] for task in run.tasks}
    for published in run.candidates:
        before = [answer for answer in published.answers if answer.phase == "before"]
        after = [answer for answer in published.answers if answer.phase == "after"]
        assert reward_of_answers(before, after, question_ids[published.candidate.task_id]) == published.reward


def test_published_questions_are_never_graded_again(tmp_path: Path) -> None:
    question = read(tmp_path, small_run()).tasks[0].questions[0]
    with pytest.raises(WrongUseError, match="unknown grader 'published'"):
        grade_answer(question, "anything")
