"""The sections of `seal.yaml`: every key, its meaning, its default and its limits.

The descriptions here are the documentation: the commented default file and the docs are made from them. They do not
check that a model folder or a device is there; the engine does. Reading a file is in `engine/settings/reading.py`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from engine.domains.knowledge.templates import EditFormat  # noqa: TC001 - pydantic evaluates the annotation
from engine.settings.alarms import AcceptanceSettings, AlarmSettings
from engine.settings.section import PositiveInt, Section

TargetModules = Literal["all-linear"] | Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Schedule = Literal["linear", "cosine", "constant"]


class ModelSettings(Section):
    """The base model that answers, and that writes self-edits where no policy has been trained yet."""

    path: str = Field(
        default="bundled",
        min_length=1,
        description='"bundled", or the folder of a local Hugging Face causal LM',
    )
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda|cuda:\d+)$",
        description="auto, cpu, cuda or cuda:N; auto takes a GPU",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="of the frozen base; auto takes bfloat16 where the processor is faster with it"
    )
    prompt_style: Literal["auto", "plain", "chat"] = Field(
        default="auto",
        description="how prompts are put: plain text, or the tokenizer's chat template; auto: if it has one",
    )
    trust_remote_code: bool = Field(
        default=False, description="run Python code that comes with the model; leave false unless you have read it"
    )
    max_length: PositiveInt | None = Field(
        default=None,
        description="tokens of the longest prompt or sequence; null takes the model's own window",
    )


class TaskSettings(Section):
    """How the questions of a task are used."""

    audit_share: float = Field(
        default=0.25, ge=0, le=1, description="share of questions kept for the audit, 0 … 1; they never give a reward"
    )


class SelfEditSettings(Section):
    """What the policy is asked to write, how it is sampled, and how its text becomes training sequences."""

    format: EditFormat = Field(
        default="implications", description="which prompt asks: implications, implications-long, rewrite or self-qa"
    )
    per_task: PositiveInt = Field(default=5, description="candidates for each task (K in the paper)")
    temperature: float = Field(default=1.0, gt=0, description="sampling temperature")
    top_p: float = Field(default=0.95, gt=0, le=1, description="share of probability that is sampled from")
    max_new_tokens: PositiveInt = Field(default=192, description="tokens of the longest self-edit")
    splitting: Literal["default", "paper"] = Field(
        default="default",
        description="default cleans lines and joins questions with answers; paper splits as SEAL does",
    )


class InnerUpdateSettings(Section):
    """The short LoRA training that turns one self-edit into one adapter."""

    rank: PositiveInt = Field(default=16, description="rank of the adapter")
    alpha: float = Field(default=32, gt=0, description="LoRA alpha; the adapter's product is scaled by alpha / rank")
    dropout: float = Field(default=0.0, description="only 0: side by side and alone, training must give the same")
    target_modules: TargetModules = Field(
        default="all-linear", description="all-linear (all but the output head), or a list of module names"
    )
    epochs: PositiveInt = Field(default=10, description="passes over the training sequences")
    learning_rate: float = Field(default=2e-3, gt=0, description="of AdamW, at the start of the schedule")
    schedule: Schedule = Field(default="linear", description="of the learning rate: linear, cosine or constant")
    batch_size: PositiveInt = Field(default=1, description="sequences for each optimiser step")
    weight_decay: float = Field(default=0.0, ge=0, description="of AdamW")
    max_grad_norm: float = Field(
        default=1.0, gt=0, description="gradients are clipped to this norm, for each adapter alone"
    )
    repeats: PositiveInt = Field(default=1, description="trainings of each self-edit with different seeds (R)")
    slots: Literal["auto"] | PositiveInt = Field(
        default="auto", description="adapters trained at once; auto fits the memory"
    )

    @field_validator("dropout")
    @classmethod
    def _no_dropout(cls, value: float) -> float:
        if value != 0:
            raise ValueError("only 0 is supported: adapters that train side by side must equal those trained alone")
        return value


class RoundSettings(Section):
    """One ReST^EM round: which tasks take part and which self-edits are kept."""

    seed: int = Field(default=0, ge=0, description="everything random in a round follows from it")
    tasks_per_round: PositiveInt = Field(default=40, description="tasks that self-edits are written for, at most")
    held_out_tasks: int = Field(
        default=20, ge=0, description="tasks kept out of policy training, at most; a new policy must be better on them"
    )
    held_out_edits: PositiveInt = Field(default=2, description="self-edits written for each held-out task")
    selection: Literal["best-k", "paper"] = Field(
        default="best-k",
        description="best-k needs a reward above the threshold; paper takes the best whatever they gained",
    )
    best_k: PositiveInt = Field(default=1, description="self-edits kept for each task")
    threshold: float = Field(default=0.0, ge=-1, le=1, description="best-k keeps rewards strictly above it, −1 … 1")


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
    """How questions are asked; answers are always greedy."""

    max_new_tokens: PositiveInt = Field(default=16, description="tokens of the longest answer")
    batch_size: Literal["auto"] | PositiveInt = Field(
        default="auto", description="questions answered at once; auto fits the memory"
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
    """What a candidate that passed the gates on its own task must not harm: suites in retention/, earlier edits."""

    gate: Literal["each", "significant"] | None = Field(
        default="each",
        description="each stops a candidate that lost more than is allowed; significant only where chance is an "
        "unlikely reason for it; null: rounds do not examine retention",
    )
    allowed_losses: Count | Share = Field(
        default=0,
        description="answers that a suite may lose: a whole number, or with a point a share of its prompts, 0.0 … 1.0; "
        "a suite's own allowed_losses wins",
    )
    significance: float = Field(
        default=0.05, gt=0, le=1, description="for significant: the highest p-value of a loss that stops"
    )
    earlier_questions: Count = Field(
        default=400,
        description="questions in the exam of earlier edits, at most; of more, the same ones are drawn by a hash, at "
        "least one of each edit where they suffice; 0 switches it off",
    )
    earlier_losses: Count = Field(default=0, description="answers that the exam of earlier edits may lose")
    max_drift: float | None = Field(
        default=None,
        ge=0,
        description="mean KL from the base on the anchors, in nats per token, at most; null: measured only",
    )
    drift_anchors: PositiveInt = Field(
        default=64, description="anchors that drift is measured on, at most; of more, those of lowest hash"
    )


class ProtectionSettings(Section):
    """What each inner update trains beside its self-edit, so that little else is forgotten."""

    replay_ratio: float = Field(
        default=1.5,
        ge=0,
        le=8,
        description="sequences of earlier accepted edits beside each sequence of the self-edit, after 25 edits or"
        " more; a third of that beside the first, then ever more; 0 switches replay off",
    )
    replay_from: PositiveInt = Field(
        default=1000,
        description="sequences that replay draws from, at most: an equal share of every edit on the live line",
    )
    anchor_ratio: float = Field(
        default=0.5,
        ge=0,
        le=8,
        description="anchor texts of retention/ beside each sequence of the self-edit, after 25 edits or more; half of"
        " that beside the first; 0 trains on none",
    )
    anchor_weight: float = Field(
        default=2.0, gt=0, le=10, description="how much the anchors' mean loss counts against that of the self-edit"
    )
    lookalike_ratio: float = Field(
        default=0.5,
        ge=0,
        le=8,
        description="look-alikes of the anchors, taught what the base says of them, as many as anchors would be with"
        " this ratio; 0 trains on none; needs 32 anchors or more",
    )
    lookalike_weight: float = Field(
        default=0.1, gt=0, le=10, description="how much the look-alikes' mean loss counts against that of the self-edit"
    )
    curvature: bool = Field(
        default=True,
        description="train where the base's knowledge of the anchors is disturbed least; needs 32 anchors or more",
    )

    @property
    def uses_anchors(self) -> bool:
        """Whether the files in retention/ are read for it."""
        return self.anchor_ratio > 0 or self.lookalike_ratio > 0 or self.curvature


class ConsoleSettings(Section):
    """The operator console: how it looks, and its keys."""

    theme: str = Field(
        default="seal-dark",
        min_length=1,
        description="seal-dark, seal-light, seal-contrast, or any theme of Textual",
    )
    keys: dict[str, str] = Field(
        default={},
        description='other keys for actions, such as {"review.accept": "ctrl+a"}; docs/console.md names all actions',
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
    console: ConsoleSettings = ConsoleSettings()
