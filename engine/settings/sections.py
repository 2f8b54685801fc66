"""The sections of `seal.yaml`: every key with its meaning, default and limits.

The descriptions are user documentation: the commented default file and the docs are made from them. Nothing here checks
that a model folder or a device exists; the engine does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from engine.bundled import BUNDLED
from engine.domains.prompt_form import PromptStyle, prompt_form
from engine.domains.registry import EditFormat, make_domain
from engine.input_files.input_model import InputModel

if TYPE_CHECKING:
    from engine.domains.domain import Domain, PromptForm

PositiveInt = Annotated[int, Field(ge=1)]
TargetModules = Literal["all-linear"] | Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Schedule = Literal["linear", "cosine", "constant"]


def _device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda|cuda:\d+", name):
        raise ValueError(f"must be auto, cpu, cuda or cuda:N (is {name!r})")
    return name


class Section(InputModel):
    """Base of all sections."""

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        """Refuse `rank: true`, which pydantic would read as 1; `1e-3`, text to YAML 1.1, stays allowed as a number."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("must not be true or false")
        return value


class ModelSettings(Section):
    """The base model: it answers questions, and it writes self-edits until a policy has been trained."""

    path: str = Field(
        default=BUNDLED,
        min_length=1,
        description='"bundled", or the folder of a local causal LM, or a GGUF file; a relative one begins at this file',
    )
    device: Annotated[str, AfterValidator(_device)] = Field(
        default="auto", description="auto, cpu, cuda or cuda:N; auto uses a GPU if there is one"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="of the frozen base; auto uses bfloat16 if the processor is faster with it"
    )
    prompt_style: PromptStyle = Field(
        default="auto",
        description="how questions are asked and trained: chat, in the tokenizer's template; few-shot, after three "
        "answered questions; plain; auto: chat if there is a template, plain for the bundled model, else few-shot",
    )
    trust_remote_code: bool = Field(
        default=False, description="run Python code that comes with the model; leave it false unless you have read it"
    )
    max_length: PositiveInt | None = Field(
        default=None,
        description="longest prompt or sequence, in tokens; null uses the model's own window",
    )
    processes: Literal["auto"] | PositiveInt = Field(
        default="auto",
        description="processes that compute on a CPU, with one thread each; auto: one for each core, once there is work"
        " for some 20 seconds; 1: one process with all threads. On a GPU, and with code of the model's own, always 1",
    )


class TaskSettings(Section):
    """How the questions of a task are used."""

    audit_share: float = Field(
        default=0.25, ge=0, le=1, description="share of questions kept for the audit, 0 … 1; they never give a reward"
    )


class SelfEditSettings(Section):
    """What the policy writes, how it is sampled, and how its text becomes training sequences."""

    format: EditFormat = Field(
        default="implications", description="the prompt: implications, implications-long, rewrite or self-qa"
    )
    per_task: PositiveInt = Field(default=5, description="candidates for each task (K in the paper)")
    temperature: float = Field(default=1.0, gt=0, description="sampling temperature")
    top_p: float = Field(default=0.95, gt=0, le=1, description="nucleus sampling: share of probability to sample from")
    max_new_tokens: PositiveInt = Field(default=192, description="longest self-edit, in tokens")
    splitting: Literal["default", "paper"] = Field(
        default="default",
        description="default cleans lines and joins questions with their answers; paper splits as SEAL does",
    )


class InnerUpdateSettings(Section):
    """The short LoRA training that turns one self-edit into one adapter."""

    rank: PositiveInt = Field(default=16, description="rank of the adapter")
    alpha: float = Field(default=32, gt=0, description="LoRA alpha; the adapter's product is scaled by alpha / rank")
    dropout: float = Field(
        default=0.0, description="only 0: an adapter must come out the same whether it trains alone or with others"
    )
    target_modules: TargetModules = Field(
        default="all-linear", description="all-linear (all but the output head), or a list of module names"
    )
    epochs: PositiveInt = Field(default=10, description="passes over the training sequences")
    learning_rate: float = Field(default=2e-3, gt=0, description="of AdamW, at the start of the schedule")
    schedule: Schedule = Field(default="linear", description="of the learning rate: linear, cosine or constant")
    batch_size: PositiveInt = Field(default=1, description="sequences for each optimiser step")
    weight_decay: float = Field(default=0.0, ge=0, description="of AdamW")
    max_grad_norm: float = Field(
        default=1.0, gt=0, description="gradients are clipped to this norm, for each adapter separately"
    )
    repeats: PositiveInt = Field(default=1, description="trainings of each self-edit with different seeds (R)")
    slots: Literal["auto"] | PositiveInt = Field(
        default="auto", description="adapters trained at once; auto uses as many as fit in memory"
    )

    @field_validator("dropout")
    @classmethod
    def _no_dropout(cls, value: float) -> float:
        if value != 0:
            raise ValueError(
                f"only 0 is supported: adapters trained together must equal those trained alone (is {value})"
            )
        return value


class RoundSettings(Section):
    """One ReST^EM round: which tasks take part and which self-edits are kept."""

    seed: int = Field(default=0, ge=0, le=2**63 - 1, description="determines everything random in a round")
    tasks_per_round: PositiveInt = Field(default=40, description="most tasks that self-edits are written for")
    held_out_tasks: int = Field(
        default=20, ge=0, description="most tasks kept out of policy training; a new policy must do better on them"
    )
    held_out_edits: PositiveInt = Field(default=2, description="self-edits written for each held-out task")
    selection: Literal["best-k", "paper"] = Field(
        default="best-k",
        description="best-k keeps only rewards above the threshold; paper keeps the best whatever they gained",
    )
    best_k: PositiveInt = Field(default=1, description="self-edits kept for each task")
    threshold: float = Field(default=0.0, ge=-1, le=1, description="best-k keeps rewards strictly above it, −1 … 1")
    racing: Literal["off", "exact", "leaders"] = Field(
        default="exact",
        description="which self-edits are repeated (inner_update.repeats): off: all; exact: all that may still be kept,"
        " so the same are kept; leaders: those level with the best so far, which saves more and may keep others",
    )


class PolicyTrainingSettings(Section):
    """The M-step: supervised training of the policy on the kept self-edits."""

    rank: PositiveInt = Field(default=16, description="rank of the policy's adapter")
    alpha: float = Field(default=32, gt=0, description="LoRA alpha of the policy's adapter")
    target_modules: TargetModules = Field(
        default="all-linear", description="all-linear (all but the output head), or a list of module names"
    )
    epochs: PositiveInt = Field(default=8, description="passes over the kept self-edits")
    learning_rate: float = Field(default=2e-3, gt=0, description="of AdamW, at the start of the schedule")
    schedule: Schedule = Field(default="linear", description="of the learning rate: linear, cosine or constant")
    batch_size: PositiveInt = Field(default=4, description="self-edits for each optimiser step")
    weight_decay: float = Field(default=0.0, ge=0, description="of AdamW")
    max_grad_norm: float = Field(default=1.0, gt=0, description="gradients are clipped to this norm")


class ExamSettings(Section):
    """How questions are answered in exams; decoding is always greedy."""

    max_new_tokens: PositiveInt = Field(default=16, description="longest answer, in tokens")
    ceiling: bool = Field(
        default=True, description="ask the base each question with its context too, and say what an exam can measure"
    )
    batch_size: Literal["auto"] | PositiveInt = Field(
        default="auto", description="questions answered at once; auto uses as many as fit in memory"
    )


class GateSettings(Section):
    """What a candidate must reach before it may be accepted."""

    min_reward: float | None = Field(
        default=0.0, ge=-1, le=1, description="the reward must be strictly above it, −1 … 1; null switches the gate off"
    )
    min_audit_gain: float | None = Field(
        default=0.0,
        ge=-1,
        le=1,
        description="the gain on the audit questions must be at least this; null switches the gate off",
    )


class RetentionSettings(Section):
    """What a candidate that passed the gates on its own task must not harm: suites in retention/ and earlier edits."""

    gate: Literal["each", "significant"] | None = Field(
        default="each",
        description="each stops a candidate that lost more than is allowed; significant stops it only if chance is an "
        "unlikely reason; null: rounds do not examine retention",
    )
    allowed_losses: NonNegativeInt | Share = Field(
        default=0,
        description="answers that a suite may lose: a whole number, or with a decimal point a share of its prompts, "
        "0.0 … 1.0; a suite's own allowed_losses takes precedence",
    )
    significance: float = Field(
        default=0.05, gt=0, le=1, description="for significant: a loss stops a candidate up to this p-value"
    )
    earlier_questions: NonNegativeInt = Field(
        default=400,
        description="most questions in the exam of earlier edits; if there are more, a hash picks the same ones each "
        "time, at least one for each edit if they suffice; 0 switches the exam off",
    )
    earlier_losses: NonNegativeInt = Field(default=0, description="answers that the exam of earlier edits may lose")
    max_drift: float | None = Field(
        default=None,
        ge=0,
        description="highest mean KL from the base on the anchors, in nats per token; null: measured only",
    )
    drift_anchors: PositiveInt = Field(
        default=64, description="most anchors that drift is measured on; if there are more, those of lowest hash"
    )


class ProtectionSettings(Section):
    """What each inner update trains on in addition to its self-edit, so that it forgets less."""

    former_keys: ClassVar = {"lookalike_ratio": "perturbed_ratio", "lookalike_weight": "perturbed_weight"}

    replay_ratio: float = Field(
        default=1.5,
        ge=0,
        le=8,
        description="sequences of earlier accepted edits for each sequence of the self-edit, from 25 edits on; the"
        " first updates get a third of that, later ones gradually more; 0 switches replay off",
    )
    replay_from: PositiveInt = Field(
        default=1000,
        description="most sequences that replay draws from: an equal share of every edit in the live lineage",
    )
    anchor_ratio: float = Field(
        default=0.5,
        ge=0,
        le=8,
        description="anchor texts of retention/ for each sequence of the self-edit, from 25 edits on; the first updates"
        " get half of that; 0 trains on none",
    )
    anchor_weight: float = Field(
        default=2.0, gt=0, le=10, description="weight of the anchors' mean loss relative to that of the self-edit"
    )
    perturbed_ratio: float = Field(
        default=0.5,
        ge=0,
        le=8,
        description="perturbed anchors for each sequence of the self-edit, trained towards what the base says about"
        " them; 0 trains on none; needs 32 anchors or more",
    )
    perturbed_weight: float = Field(
        default=0.1,
        gt=0,
        le=10,
        description="weight of the perturbed anchors' mean loss relative to that of the self-edit",
    )
    curvature: bool = Field(
        default=True,
        description="precondition training so that it disturbs the base's knowledge of the anchors least; needs 32"
        " anchors or more",
    )

    @property
    def uses_anchors(self) -> bool:
        """Whether it needs the files in retention/."""
        return self.anchor_ratio > 0 or self.perturbed_ratio > 0 or self.curvature


class AlarmSettings(Section):
    """When the figures of a round raise an alarm; null switches one alarm off. docs/alarms.md has the reasons."""

    one_answer: float | None = Field(
        default=0.25,
        ge=0,
        le=1,
        description="by how much the commonest answer's share of the questions may exceed that of the commonest "
        "expected answer",
    )
    accuracy_fall: float | None = Field(
        default=0.05,
        ge=0,
        le=1,
        description="fall of held-out or audit accuracy that raises an alarm if answers agree more",
    )
    alike: float | None = Field(
        default=0.95,
        ge=0,
        le=1,
        description="likeness from which the self-edits of a task count as alike; an alarm if that is most tasks",
    )
    echo: float | None = Field(
        default=0.8,
        ge=0,
        le=1,
        description="share copied from the prompt from which a task's self-edits count as an echo; an alarm if that is "
        "most tasks",
    )
    length_factor: float | None = Field(
        default=3.0, gt=1, description="an alarm if self-edits become this many times as long, or as short"
    )
    audit_fall: float | None = Field(
        default=0.1,
        ge=0,
        le=2,
        description="fall of the mean audit gain that raises an alarm if the mean reward rises",
    )
    significance: float = Field(
        default=0.01, gt=0, lt=0.5, description="highest probability of a false alarm, over all compared rounds"
    )
    rounds_back: PositiveInt = Field(default=5, description="most earlier rounds that a round is compared with")


class AcceptanceSettings(Section):
    """Whether the best candidate of a round goes live without a person; never while an alarm is active."""

    automatic: bool = Field(default=False, description="true: after each round its best candidate goes live")
    min_reward: float | None = Field(
        default=0.0,
        ge=-1,
        le=1,
        description="the reward must be strictly above it, in addition to the gates; null: the gates alone",
    )
    min_audit_gain: float | None = Field(
        default=0.0,
        ge=-1,
        le=1,
        description="the gain on the audit questions must be measured and at least this; null: the gates alone",
    )


class TrackingSettings(Section):
    """Where rounds are reported besides the workspace's own store."""

    file: str | None = Field(
        default=None,
        min_length=1,
        description="JSON Lines file that each round appends its figures to, from the workspace's folder; null: none",
    )


class ConsoleSettings(Section):
    """The operator console: its theme and its keys."""

    theme: str = Field(
        default="seal-dark",
        min_length=1,
        description="seal-dark, seal-light, seal-contrast, or any theme of Textual",
    )
    keys: dict[str, str] = Field(
        default={},
        description='other keys for actions, e.g. {"review.accept": "ctrl+a"}; docs/console.md lists the actions',
    )


class Settings(Section):
    """All of `seal.yaml`."""

    model: ModelSettings = ModelSettings()
    tasks: TaskSettings = TaskSettings()
    self_edit: SelfEditSettings = SelfEditSettings()
    inner_update: InnerUpdateSettings = InnerUpdateSettings()
    round: RoundSettings = RoundSettings()
    policy_training: PolicyTrainingSettings = PolicyTrainingSettings()
    exam: ExamSettings = ExamSettings()
    gates: GateSettings = GateSettings()
    retention: RetentionSettings = RetentionSettings()
    protection: ProtectionSettings = ProtectionSettings()
    alarms: AlarmSettings = AlarmSettings()
    acceptance: AcceptanceSettings = AcceptanceSettings()
    tracking: TrackingSettings = TrackingSettings()
    console: ConsoleSettings = ConsoleSettings()

    @property
    def prompt_form(self) -> PromptForm:
        """How questions are put to the model."""
        return prompt_form(self.model.path, self.model.prompt_style)

    def make_domain(self) -> Domain:
        """Return the domain of the self-edits that these settings ask for."""
        edits, exam = self.self_edit, self.exam
        return make_domain(edits.format, edits.splitting, exam.max_new_tokens, self.prompt_form)
