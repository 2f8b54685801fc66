"""The store's records as frozen dataclasses: one class for one row of one table.

These are the only shapes in which the store returns or accepts data. Times are ISO-8601 strings in UTC with a trailing
"Z". Hashes are tagged, as in "sha256:ab12…". Structured fields are plain dicts and lists that the store writes as
canonical JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Split = Literal["reward", "audit"]
Phase = Literal["before", "after"]
CandidateState = Literal["proposed", "examined", "accepted", "rejected", "deferred", "refused"]
RoundState = Literal["running", "interrupted", "done", "failed"]
Role = Literal["train", "held_out"]
DecisionAction = Literal["accept", "reject", "defer", "undo"]
# "hold" means "needs review". The code stays as it is: it is part of hashed records.
OnFailure = Literal["hold", "note"]
JobKind = Literal["run", "reexamine", "cancel"]
JobState = Literal["waiting", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Document:
    """A source file of tasks; `content_hash` shows whether it has changed."""

    id: str
    path: str
    title: str
    content_hash: str
    added_at: str


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a task. `answers` are all accepted answers; `grader` is a registered grader's name."""

    id: str
    task_id: str
    position: int
    text: str
    answers: list[str]
    grader: str
    grader_options: dict[str, Any]
    split: Split


@dataclass(frozen=True, slots=True)
class Task:
    """A context and its evaluation. `id` is the content hash of title, context and questions."""

    id: str
    title: str
    context: str
    source: str
    added_at: str
    imported: bool = False
    document_id: str | None = None
    questions: list[Question] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Round:
    """One ReST^EM iteration, with the settings it ran under."""

    number: int
    state: RoundState
    seed: int
    settings: dict[str, Any]
    started_at: str
    live_version: int | None
    policy_version: int | None
    new_policy_version: int | None = None
    finished_at: str | None = None
    summary: dict[str, Any] | None = None
    imported: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """One self-edit. `sequences` are its training sequences, in order.

    `loss_starts` is the character at which the loss begins in each sequence; empty if all of them are trained on whole.

    `reward_mean` and `reward_std` are over repeats, on the reward split, as a gain over the untouched model (−1 … 1);
    `audit_gain` is the same on the audit split. `adapter_hash` is the first repeat's adapter, which acceptance makes
    live. `derived_from` is the candidate that a person edited to make this one; None if the policy wrote it.
    """

    id: str
    round_number: int
    task_id: str
    position: int
    role: Role
    edit_format: str
    prompt: str
    completion: str
    sampling: dict[str, Any]
    seed: int
    state: CandidateState
    created_at: str
    sequences: list[str]
    live_version: int | None = None
    policy_version: int | None = None
    reward_mean: float | None = None
    reward_std: float | None = None
    audit_gain: float | None = None
    adapter_hash: str | None = None
    imported: bool = False
    derived_from: str | None = None
    loss_starts: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class InnerUpdate:
    """One training of one candidate's adapter. `losses` has one entry for each optimiser step, in nats per token."""

    candidate_id: str
    repeat: int
    seed: int
    hyperparameters: dict[str, Any]
    steps: int
    trained_tokens: int
    elapsed_s: float
    losses: list[float]
    adapter_hash: str | None
    finished_at: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One model's answer to one question. `candidate_id` is None for the untouched model.

    `model_state` names the model: "base", "v0003" or the adapter's hash; "base with context" is the base that was given
    the task's context with the question. `base_fingerprint` is the base model's; None for a candidate's answers, whose
    round names it, and for answers older than this field. `form` is how the question was put ("chat", "few-shot"); None
    is plainly. `cut` is whether the token limit cut the answer off.
    """

    question_id: str
    candidate_id: str | None
    repeat: int
    phase: Phase
    model_state: str
    text: str
    score: float
    correct: bool
    base_fingerprint: str | None = None
    form: str | None = None
    cut: bool = False


@dataclass(frozen=True, slots=True)
class RetentionAnswer:
    """One answer to a prompt of a retention suite. `model_state` is "base" or an adapter's hash.

    `prompt_hash` covers the prompt's text, the accepted answers, the grader and the answering model.
    """

    prompt_hash: str
    model_state: str
    text: str
    score: float
    correct: bool
    asked_at: str
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Drift:
    """How far a state of the model is from the base on anchor texts: KL(base ‖ state) in nats for each of `tokens`."""

    anchors_hash: str
    model_state: str
    mean_kl: float
    worst_kl: float
    tokens: int
    measured_at: str


@dataclass(frozen=True, slots=True)
class SuiteNoise:
    """The noise floor of a suite: how many right answers the base loses by nothing but other batches.

    `lost` is the most between two of `askings`, `right_answers` counts those of the recorded one. The hashes cover the
    suite's prompts, and what answers depend on besides them.
    """

    prompts_hash: str
    conditions_hash: str
    base_fingerprint: str
    suite: str
    prompts: int
    right_answers: int
    lost: int
    askings: int
    measured_at: str


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate's verdict on a candidate, with its evidence.

    `on_failure` is what a gate that is not passed does: None refuses the candidate, "hold" requires a person's review,
    "note" only records the finding.
    """

    candidate_id: str
    gate: str
    passed: bool
    evidence: dict[str, Any]
    decided_at: str
    on_failure: OnFailure | None = None

    @property
    def stops(self) -> bool:
        """Whether this gate refuses the candidate."""
        return not self.passed and self.on_failure is None

    @property
    def needs_review(self) -> bool:
        """Whether only a person may accept the candidate because of this gate."""
        return not self.passed and self.on_failure == "hold"


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision about a candidate, its author and the reason; "undo" reverses the newest decision in force."""

    candidate_id: str
    action: DecisionAction
    actor: str
    reason: str
    decided_at: str


@dataclass(frozen=True, slots=True)
class Version:
    """An accepted adapter: one commit, one annotated tag. `number` n has tag "v%04d" % n."""

    number: int
    tag: str
    commit: str
    parent_number: int | None
    candidate_id: str
    adapter_hash: str
    manifest_hash: str
    accepted_by: str
    reason: str
    created_at: str


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """An adapter that writes self-edits: tag "p%04d" % number on the branch `policy`. Only kept policies are stored."""

    number: int
    tag: str
    commit: str
    parent_number: int | None
    round_number: int
    adapter_hash: str
    metrics: dict[str, Any]
    created_at: str


@dataclass(frozen=True, slots=True)
class Move:
    """A change of `live` (or `shadow`). `cause` is accept, rollback or checkout (by hand)."""

    name: Literal["live", "shadow"]
    from_version: int | None
    to_version: int | None
    cause: Literal["accept", "rollback", "checkout"]
    actor: str
    reason: str
    moved_at: str


@dataclass(frozen=True, slots=True)
class Event:
    """One link of the append-only hash chain: hash = sha256(previous_hash, sequence, at, kind, payload)."""

    sequence: int
    at: str
    kind: str
    payload: dict[str, Any]
    previous_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class Job:
    """A job for the engine, added by a console or another process.

    `result` has, while the job is waiting or running, what a later engine needs to resume it; afterwards the outcome:
    for a failed job "error" and "next_step".
    """

    id: int
    kind: JobKind
    payload: dict[str, Any]
    state: JobState
    actor: str
    requested_at: str
    finished_at: str | None = None
    result: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class LiveProgress:
    """Progress of a stage of the engine's work: `done` of `total` units, at `rate` units a second recently.

    `rate` is None if it is not known yet. `details` depend on the stage (`engine/runtime/progress.py`).
    """

    stage: str
    done: int
    total: int
    unit: str
    note: str
    rate: float | None
    started_at: str
    updated_at: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SavedFilter:
    """A named filter line of a screen."""

    name: str
    screen: str
    text: str
    saved_by: str
    saved_at: str
