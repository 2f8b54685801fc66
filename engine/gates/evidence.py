"""The evidence of each gate as typed values: what is recorded with a verdict, and how it reads in words.

Needs no model. Texts in the descriptions are those of prompts, models and tasks; whoever shows them sanitises them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from pydantic import TypeAdapter, ValidationError

from engine.gates.names import (
    AUDIT_GATE,
    DRIFT_GATE,
    EARLIER_GATE,
    JUDGE_GATE,
    RACING_GATE,
    REWARD_GATE,
    SUITE_GATE,
    TRAINING_GATE,
    is_red_team_gate,
)
from engine.guardrails.judging import RULE_GATE, RuleEvidence
from store.wording import counted

# Fields that are left out of the record if they do not apply.
_OPTIONAL = frozenset({"note", "version", "task", "audit", "allowed", "rule", "reason", "no_answer", "unreachable"})


class Evidence(Protocol):
    """What a verdict rests on."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can carry it."""
        ...

    def describe(self) -> list[str]:
        """Return plain lines: the figures first, then the details."""
        ...


@dataclass(frozen=True, slots=True)
class TrainingEvidence:
    """Why an inner update has no result: it diverged in a repeat, or there was nothing to train on (`steps` is 0).

    `bad_step` (counted from 1) is the first of its `steps` whose loss was not finite, None if only the weights are not;
    `last_loss` is the last finite one before it, in nats per token.
    """

    repeat: int
    steps: int
    bad_step: int | None
    last_loss: float | None
    learning_rate: float

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can carry it."""
        return asdict(self)

    def describe(self) -> list[str]:
        """Return what happened to the training."""
        if not self.steps:
            return ["had nothing to train on: no sequence fits the model's window"]
        what = "the weights were no longer finite at the end" if self.bad_step is None else self._bad_loss()
        return [f"diverged: {what} (repeat {self.repeat + 1}, learning rate {self.learning_rate:g})"]

    def _bad_loss(self) -> str:
        before = "" if self.last_loss is None else f", {self.last_loss:.4g} before"
        return f"the loss was no longer finite at step {self.bad_step} of {self.steps}{before}"


_WHY_STOPPED = {
    ("behind", "exact"): "even if all its further answers were right, others of its task would be kept",
    ("behind", "leaders"): "others of its task had more right answers",
    ("threshold", "exact"): "even if all its further answers were right, its reward would not exceed the threshold",
    ("threshold", "leaders"): "even if all its further answers were right, its reward would not exceed the threshold",
    ("decided", "leaders"): "no other of its task was level with it",
}


@dataclass(frozen=True, slots=True)
class RacingEvidence:
    """Why a self-edit stopped after fewer repeats than the settings ask for, and by which rule of `round.racing`.

    `reason` is "behind" others of its task, unable to exceed the "threshold", or "decided" in its favour.
    """

    repeats: int
    of_repeats: int
    rule: str
    reason: str

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can carry it."""
        return asdict(self)

    def describe(self) -> list[str]:
        """Return after how many repeats it stopped, and why."""
        why = _WHY_STOPPED.get((self.reason, self.rule), self.reason)
        return [f"stopped after {self.repeats} of {counted(self.of_repeats, 'repeat')}: {why}"]


@dataclass(frozen=True, slots=True)
class RewardEvidence:
    """The mean gain on the reward questions, −1 … 1, and the limit that it must exceed."""

    reward_mean: float
    must_be_above: float

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can carry it."""
        return asdict(self)

    def describe(self) -> list[str]:
        """Return the reward and the limit."""
        return [f"{self.reward_mean:+.3f}, must be above {self.must_be_above:g}"]


@dataclass(frozen=True, slots=True)
class AuditEvidence:
    """The mean gain on the audit questions, −1 … 1, None if the task has none, and the limit that it must reach."""

    audit_gain: float | None
    must_be_at_least: float
    note: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can carry it."""
        return _without_absent(asdict(self))

    def describe(self) -> list[str]:
        """Return the gain and the limit."""
        gain = "no audit question" if self.audit_gain is None else f"{self.audit_gain:+.3f}"
        return [f"{gain}, must be at least {self.must_be_at_least:g}"]


@dataclass(frozen=True, slots=True)
class LostAnswer:
    """An answer that was right before the update and is wrong after it.

    `version` and `task` name the earlier edit that the question belongs to; `audit` marks a question of the audit.
    """

    prompt: str
    expected: tuple[str, ...]
    before: str
    after: str
    group: str = ""
    version: str | None = None
    task: str | None = None
    audit: bool | None = None

    def describe(self) -> str:
        """Return one line."""
        where = " ".join(filter(None, (self.version, f"[{self.group}]" if self.group else "")))
        question = f"{where} {self.prompt}" if where else self.prompt
        answers = f"{self.before or '(nothing)'} → {self.after or '(nothing)'}"
        return f"✗ {question}  expected: {' / '.join(self.expected)}; {answers}"


@dataclass(frozen=True, slots=True)
class LossFigures:
    """Answers before and after an update. `p_value` is that of the paired test; `rule` says whether it matters."""

    prompts: int
    right_before: int
    right_after: int
    lost: tuple[LostAnswer, ...]
    gained: int
    allowed_losses: int
    p_value: float
    rule: str | None
    significance: float

    def _figures(self, noun: str, noise_floor: int | None = None) -> str:
        lost = len(self.lost)
        if not self.right_before:
            return f"{counted(self.prompts, noun)}, none right before: nothing to lose, so nothing is protected"
        figures = [counted(self.prompts, noun), f"{self.right_before} right before", f"{self.right_after} right now"]
        figures += [f"lost {lost} (p = {self.p_value:.3g})" if lost else "lost 0"]
        if noise_floor is not None:
            within = 0 < lost <= noise_floor
            figures.append(f"within the noise floor of {noise_floor}" if within else f"noise floor {noise_floor}")
        figures.append(f"allowed {self.allowed_losses}")
        if self.rule == "significant":
            figures.append(f"stops only if p ≤ {self.significance:g}")
        return ", ".join(figures)


@dataclass(frozen=True, slots=True)
class SuiteEvidence(LossFigures):
    """What a suite lost. `noise_floor` is what the base loses by other batches alone, None if nobody measured it.

    The verdict does not depend on it.
    """

    suite: str = ""
    noise_floor: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can carry it."""
        row = {**asdict(self), "lost": [_without_absent(asdict(one)) for one in self.lost]}
        if self.noise_floor is None:
            del row["noise_floor"]
        return _plain(row)

    def describe(self) -> list[str]:
        """Return the figures, then each lost answer."""
        return [self._figures("prompt", self.noise_floor), *(one.describe() for one in self.lost)]


@dataclass(frozen=True, slots=True)
class UndoneEdit:
    """An earlier edit, and how many of its answers were lost."""

    version: str
    task: str
    lost: int


@dataclass(frozen=True, slots=True)
class EarlierEvidence(LossFigures):
    """What the exam of earlier edits lost, and which edits that undoes. `edits` counts those that were examined."""

    edits: int = 0
    candidate_task: str = ""
    undone: tuple[UndoneEdit, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can carry it."""
        return _plain({**asdict(self), "lost": [_without_absent(asdict(one)) for one in self.lost]})

    def describe(self) -> list[str]:
        """Return the figures, then each edit that was undone, then each lost answer."""
        undone = [
            f"“{self.candidate_task}” undoes {counted(one.lost, 'answer')} of {one.version} “{one.task}”"
            for one in self.undone
        ]
        return [self._figures("question"), *undone, *(one.describe() for one in self.lost)]


@dataclass(frozen=True, slots=True)
class DriftEvidence:
    """KL from the base on the anchors, in nats per token, over `tokens` tokens; None is no limit."""

    tokens: int
    mean_kl: float
    worst_kl: float
    mean_kl_before: float
    max_drift: float | None

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can carry it."""
        return asdict(self)

    def describe(self) -> list[str]:
        """Return the figures and the limit."""
        limit = "no limit" if self.max_drift is None else f"allowed {self.max_drift:g}"
        drift = f"KL from the base {self.mean_kl:.4f} nats per token, worst {self.worst_kl:.3f}"
        return [f"{drift}, {self.mean_kl_before:.4f} before, over {counted(self.tokens, 'token')}, {limit}"]


Became = Literal["still passes", "newly passes", "newly fails", "still fails"]
_BECAME: dict[Became, tuple[str, str]] = {
    "still passes": ("✓", "passes"),
    "newly passes": ("✓", "newly passes"),
    "newly fails": ("✗", "newly fails"),
    "still fails": ("✗", "still fails"),
}
# Names and values in the evidence of older releases, with the present ones.
_FORMER_RED_TEAM_NAMES = {
    "wanted": "expected",
    "held_before": "passed_before",
    "hold": "passed_after",
    "broken": "newly_failing",
    "never_held": "still_failing",
}
_FORMER_BECAME: dict[str, Became] = {
    "kept": "still passes",
    "mended": "newly passes",
    "broken": "newly fails",
    "never held": "still fails",
}


@dataclass(frozen=True, slots=True)
class PromptBehaviour:
    """How a model behaved on one red-team prompt before an update and after it; `became` says what changed."""

    name: str
    prompt: str
    must: str
    expected: str
    verdict: str
    before: str
    after: str
    became: Became

    @property
    def passes(self) -> bool:
        """Whether it behaves as it must after the update."""
        return self.became in ("still passes", "newly passes")

    @property
    def passed_before(self) -> bool:
        """Whether it behaved as it must before the update."""
        return self.became in ("still passes", "newly fails")


@dataclass(frozen=True, slots=True)
class RedTeamEvidence:
    """Behaviour on a group of red-team prompts, and how many of them passed before and after an update, or fail."""

    prompts: tuple[PromptBehaviour, ...]
    passed_before: int
    passed_after: int
    newly_failing: int
    still_failing: int

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can carry it."""
        return _plain(asdict(self))

    def describe(self) -> list[str]:
        """Return the figures, then every prompt with the answers before and after."""
        figures = [counted(len(self.prompts), "prompt"), f"{self.passed_before} passed before"]
        figures += [counted(self.passed_after, "passes now", "pass now")]
        figures += [counted(self.newly_failing, "newly fails", "newly fail")] if self.newly_failing else []
        figures += [counted(self.still_failing, "still fails", "still fail")] if self.still_failing else []
        return [", ".join(figures), *map(_describe_behaviour, self.prompts)]


@dataclass(frozen=True, slots=True)
class JudgeEvidence:
    """What the judge said about a self-edit, or why there is no usable answer. `request` is the question's hash."""

    url: str
    model: str
    request: str
    allowed: bool | None = None
    rule: str | None = None
    reason: str | None = None
    no_answer: str | None = None
    unreachable: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can carry it."""
        return _without_absent(asdict(self))

    def describe(self) -> list[str]:
        """Return the judge's verdict and its reason, or what went wrong."""
        if self.unreachable is not None:
            return [f"not asked: {self.unreachable}"]
        if self.no_answer is not None:
            return [f"no valid answer: {self.no_answer}"]
        rule = f" by “{self.rule}”" if self.rule else ""
        return [f"{'allowed' if self.allowed else 'not allowed'}{rule}, says {self.model}", f"• {self.reason}"]


_EXACT: dict[str, type[Any]] = {
    TRAINING_GATE: TrainingEvidence,
    RACING_GATE: RacingEvidence,
    REWARD_GATE: RewardEvidence,
    AUDIT_GATE: AuditEvidence,
    EARLIER_GATE: EarlierEvidence,
    DRIFT_GATE: DriftEvidence,
    JUDGE_GATE: JudgeEvidence,
}
_adapters: dict[type[Any], TypeAdapter[Any]] = {}
_BY_PREFIX: dict[str, type[Any]] = {SUITE_GATE: SuiteEvidence, RULE_GATE: RuleEvidence}


def read_evidence(gate: str, recorded: Mapping[str, Any]) -> Evidence | None:
    """Return recorded evidence as its gate's own type; None for an unknown gate or another shape."""
    kind: type[Any] | None = RedTeamEvidence if is_red_team_gate(gate) else _EXACT.get(gate)
    kind = kind or next((found for prefix, found in _BY_PREFIX.items() if gate.startswith(prefix)), None)
    if kind is None:
        return None
    try:
        known = _with_present_names(recorded) if kind is RedTeamEvidence else dict(recorded)
        evidence: Evidence = _adapter(kind).validate_python(known)
    except ValidationError:
        return None
    return evidence


def describe_evidence(gate: str, recorded: Mapping[str, Any]) -> list[str]:
    """Return recorded evidence in words; evidence of an unknown gate or shape is its figures, then what else it has."""
    evidence = read_evidence(gate, recorded)
    if evidence is not None:
        return evidence.describe()
    figures = {key: value for key, value in recorded.items() if isinstance(value, int | float | str | None)}
    others = [
        f"{_words(key)}: {json.dumps(recorded[key], ensure_ascii=False)}" for key in recorded if key not in figures
    ]
    line = ", ".join(f"{_words(key)} {'none' if value is None else value}" for key, value in figures.items())
    return [line, *others] if line else others or ["no evidence kept"]


def _words(key: str) -> str:
    return key.replace("_", " ")


def _with_present_names(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return the evidence of red-team prompts with the present names for those of older releases."""
    known = {_FORMER_RED_TEAM_NAMES.get(name, name): value for name, value in recorded.items()}
    if isinstance(prompts := known.get("prompts"), list):
        known["prompts"] = [_with_present_names(one) if isinstance(one, Mapping) else one for one in prompts]
    if isinstance(became := known.get("became"), str):
        known["became"] = _FORMER_BECAME.get(became, became)
    return known


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def _without_absent(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if value is not None or key not in _OPTIONAL}


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Return the same with lists for tuples, as JSON would give it back."""
    plain: dict[str, Any] = json.loads(json.dumps(row))
    return plain


def _describe_behaviour(one: PromptBehaviour) -> str:
    sign, became = _BECAME[one.became]
    answers = f"“{one.before}” → “{one.after}”"
    return f"{sign} {one.name} ({one.verdict}): {became}. {one.prompt}  {one.expected}; {answers}"
