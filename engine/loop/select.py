"""ReST^EM's filter: which self-edits of a round the policy is trained on.

`best-k` keeps, for each task, the best k whose reward is above a threshold. `paper` does what SEAL's own script does
(`EM/build_SFT_dataset.py`), which its published data confirm row by row:

- candidates of a task are ranked by the mean over repeats of the *accuracy after* the update, with the accuracy of each
  repeat first rounded to four decimals, as SEAL's server returns it. Rounding decides ties: with three questions,
  repeats with 0, 0 and 2 correct (mean 0.22223) beat repeats with 0, 1 and 1 correct (0.22220), though both are 2 of 9;
- equal candidates keep the order in which they were sampled; the best k are taken whatever they gained, even if that is
  negative.

A candidate that guardrails.yaml refuses, or that needs review, is reinforced in neither mode: a veto is a veto. A
candidate that another gate refuses (reward, audit, retention) is left out by `best-k` only; the paper has no such gate.

A self-edit that stopped early because others of its task lead (`racing.py`) is reinforced in neither mode.

Neither mode ranks by audit questions.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any, Literal

from engine.gates.names import RACING_GATE, is_guardrail_gate
from engine.loop.reward import reward_of_answers
from store.answers import base_answers
from store.candidates import answers_of, gates_of
from store.ranking import in_units, rank_key
from store.version_tags import state_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlite_utils import Database

    from engine.loop.reward import Reward
    from engine.settings.sections import RoundSettings
    from store.ranking import RankKey
    from store.records import Candidate, GateResult, Task

    SelectionKey = RankKey | tuple[float, int, str]


SelectionMode = Literal["best-k", "paper"]

_PAPER_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class ScoredCandidate:
    """One evaluated candidate. Rewards are gains, −1 … 1; accuracies are 0 … 1, after the update, one per repeat."""

    candidate_id: str
    task_id: str
    position: int
    reward_mean: float
    reward_std: float
    accuracy_after_per_repeat: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """The candidates to keep: their ids by task in the order of the tasks, the best of a task first."""

    mode: SelectionMode
    best_k: int
    threshold: float
    candidate_ids: tuple[str, ...]


def score_candidate(candidate_id: str, task_id: str, position: int, reward: Reward) -> ScoredCandidate:
    """Return a candidate with its reward in the form that `select` takes."""
    return ScoredCandidate(candidate_id, task_id, position, reward.mean, reward.std, reward.accuracy_after_per_repeat)


def may_be_reinforced(gates: Iterable[GateResult], mode: SelectionMode) -> bool:
    """Return whether the policy may be trained on a candidate with these verdicts."""
    return not any(
        gate.needs_review
        or (gate.stops and (mode != "paper" or is_guardrail_gate(gate.gate)))
        or (gate.gate == RACING_GATE and not gate.passed)
        for gate in gates
    )


def select(
    candidates: Iterable[ScoredCandidate], *, mode: SelectionMode = "best-k", best_k: int = 1, threshold: float = 0.0
) -> Selection:
    """Return the candidates to keep; tasks are in the order in which they first appear.

    best-k: reward strictly above `threshold`; of equal rewards the one with the lower spread, then the earlier one.
    paper: see the module; `threshold` has no effect. Raises ValueError if a candidate has no repeats.
    """
    by_task: dict[str, list[ScoredCandidate]] = {}
    for candidate in candidates:
        by_task.setdefault(candidate.task_id, []).append(candidate)
    chosen: list[str] = []
    for of_task in by_task.values():
        good = [candidate for candidate in of_task if is_good_enough(candidate, mode, threshold)]
        chosen += [one.candidate_id for one in sorted(good, key=lambda one: selection_key(one, mode))[:best_k]]
    return Selection(mode, best_k, threshold, tuple(chosen))


def is_good_enough(candidate: ScoredCandidate, mode: SelectionMode, threshold: float) -> bool:
    """Return whether a candidate may be kept at all, whatever the others of its task gained."""
    return mode == "paper" or in_units(candidate.reward_mean) > in_units(threshold)


def selection_key(candidate: ScoredCandidate, mode: SelectionMode) -> SelectionKey:
    """Return the key that sorts the candidates of a task, the best first; no two candidates share one."""
    if mode == "best-k":
        return _rank(candidate)
    return (-paper_score(candidate.accuracy_after_per_repeat), candidate.position, candidate.candidate_id)


def paper_score(accuracy_after_per_repeat: Sequence[float]) -> float:
    """Return SEAL's ranking score: the mean of the repeats' accuracies, each rounded to four decimals."""
    if not accuracy_after_per_repeat:
        raise ValueError("a candidate without repeats has no score")
    return mean(round(accuracy, _PAPER_DECIMALS) for accuracy in accuracy_after_per_repeat)


def _rank(candidate: ScoredCandidate) -> RankKey:
    # No audit gain: what the policy is trained on must not be steered by audit questions.
    return rank_key(
        reward_mean=candidate.reward_mean,
        audit_gain=None,
        reward_std=candidate.reward_std,
        position=candidate.position,
        candidate_id=candidate.candidate_id,
    )


@dataclass(frozen=True, slots=True)
class SelectionMethod:
    """How self-edits are kept, and whether a policy that is no better on held-out tasks is dropped.

    `may_race` is whether it selects as `select` does, so that a race knows which self-edits it will not keep.
    `select` gets the store, the base as a round records it, the round's settings, the candidates and their tasks.
    Rounds of a workspace always use `MEASURED`; an experiment may compare another method with it.
    """

    select: Callable[[Database, Mapping[str, Any], RoundSettings, Sequence[Candidate], Sequence[Task]], Selection]
    policy_must_be_better: bool
    may_race: bool = False


def _by_reward(
    db: Database,
    base: Mapping[str, Any],
    settings: RoundSettings,
    candidates: Sequence[Candidate],
    tasks: Sequence[Task],
) -> Selection:
    """Select by the reward split, among the examined candidates that may be reinforced."""
    questions = {task.id: task.questions for task in tasks}
    state = state_name(candidates[0].live_version)
    rows = []
    for candidate in candidates:
        if candidate.reward_mean is None:
            continue
        if not may_be_reinforced(gates_of(db, candidate.id), settings.selection):
            continue
        ids = [question.id for question in questions[candidate.task_id] if question.split == "reward"]
        before = base_answers(db, ids, state, base["fingerprint"], base.get("form"), or_unknown=True).values()
        after = [answer for answer in answers_of(db, candidate.id) if answer.phase == "after"]
        reward = reward_of_answers(before, after, ids)
        rows.append(score_candidate(candidate.id, candidate.task_id, candidate.position, reward))
    return select(rows, mode=settings.selection, best_k=settings.best_k, threshold=settings.threshold)


MEASURED = SelectionMethod(_by_reward, policy_must_be_better=True, may_race=True)
