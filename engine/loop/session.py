"""A workspace with its base model loaded: what the loop's operations start from.

The loop hands on what each part needs (`executor`, `domain`, `examiner`, a `GateContext`) rather than the session.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from engine.bank.job import Recipe
from engine.continual.build_plan import ReplayPlanner
from engine.exams.exam import ModelRef
from engine.exams.examiner import Examiner
from engine.executors.local import LocalExecutor
from engine.executors.process_count import make_pool
from engine.executors.processes import ProcessExecutor
from engine.gates.gate import GateContext
from engine.guardrails.reading import Guardrails
from engine.loop.base_loading import load_base_of, with_folder_of_gguf
from engine.lora.adapter import Adapter, LoraSpec, fitted_to, fresh_adapter, make_spec
from engine.lora.files import read_adapter
from engine.runtime.engine_lock import lock_workspace
from engine.runtime.progress import Progress, Report, ignore_progress
from engine.settings.reading import load_settings
from engine.trackers.jsonl import JsonLinesTracker
from engine.trackers.store_tracker import StoreTracker
from engine.trackers.tracker import Tracker, TrackerGroup
from store.answers import model_state
from store.base_compatibility import base_of_policy, base_of_version, is_of, latest_policy_on
from store.errors import WrongUseError
from store.policy_versions import policy_adapter_files
from store.version_tags import policy_tag, version_tag
from store.versions import version_adapter_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlite_utils import Database

    from engine.domains.domain import Domain
    from engine.executors.executor import Executor
    from engine.executors.process_pool import ProcessPool
    from engine.model.base import BaseModel
    from engine.runtime.deadline import Deadline
    from engine.settings.sections import InnerUpdateSettings, ModelSettings, PolicyTrainingSettings, Settings
    from store.records import PolicyVersion
    from store.workspace import Workspace


@dataclass
class Session:
    """A workspace under the engine lock, its settings and its base. Use `open_session`.

    `guardrails` are those that candidates are judged by: a round's own once it has begun. `pool` has the processes that
    compute, if they are several; whoever made it closes it. No new work begins after the `deadline`.
    """

    workspace: Workspace
    db: Database
    settings: Settings
    base: BaseModel
    report: Report = ignore_progress
    guardrails: Guardrails = field(default_factory=Guardrails)
    pool: ProcessPool | None = None
    deadline: Deadline | None = None

    def require_time(self) -> None:
        """Raise TimeUpError if the run is to end by now."""
        if self.deadline is not None:
            self.deadline.require_time()

    def under(self, settings: Settings, guardrails: Guardrails | None = None) -> Session:
        """Return the same session under the settings, and the guardrails, that a round began with."""
        guardrails = self.guardrails if guardrails is None else guardrails
        same = settings == self.settings and guardrails == self.guardrails
        return self if same else replace(self, settings=settings, guardrails=guardrails)

    @cached_property
    def tracker(self) -> Tracker:
        """Follows rounds. The store is last: it ends the round, and a finished round is never reported again."""
        file = self.settings.tracking.file
        others = [] if file is None else [JsonLinesTracker(self.workspace.root / file, self.say)]
        return TrackerGroup([*others, StoreTracker(self.db)])

    def say(self, sentence: str) -> None:
        """Report a sentence that is worth a line of its own."""
        self.report(Progress("round", 0, 0, note=sentence))

    @cached_property
    def executor(self) -> Executor:
        """Where models are trained and asked."""
        slots = self.settings.inner_update.slots
        return LocalExecutor(self.base, slots) if self.pool is None else ProcessExecutor(self.base, self.pool, slots)

    @cached_property
    def domain(self) -> Domain:
        """How tasks are taught and examined."""
        return self.settings.make_domain()

    @cached_property
    def examiner(self) -> Examiner:
        """Examines models and records their answers."""
        exam = self.settings.exam
        return Examiner(self.db, self.executor, self.domain, exam.max_new_tokens, exam.batch_size)

    def gate_context(self, live: Adapter | None, live_version: int | None) -> GateContext:
        """Return what gates need to judge candidates that were trained from a version."""
        reference = ModelRef(model_state(self.db, live_version), live)
        return GateContext(
            self.db,
            self.workspace,
            self.settings,
            self.guardrails,
            self.examiner,
            reference,
            live_version,
            self.report,
        )

    @cached_property
    def planner(self) -> ReplayPlanner:
        """Plans what inner updates replay."""
        settings = self.settings
        return ReplayPlanner(
            self.db,
            self.workspace,
            self.base,
            self.executor,
            self.domain,
            settings.protection,
            settings.round.seed,
            self.report,
        )

    @cached_property
    def inner_spec(self) -> LoraSpec:
        """The shape of inner updates."""
        return _spec(self.base, self.settings.inner_update, "inner_update")

    @cached_property
    def policy_spec(self) -> LoraSpec:
        """The shape of policy adapters."""
        return _spec(self.base, self.settings.policy_training, "policy_training")

    def live_adapter(self, version: int | None) -> Adapter | None:
        """Return the adapter of a version in the shape of inner updates; None if nothing is live.

        Raises WrongUseError if it was trained on another base: its shapes might fit, its answers would not.
        """
        if version is None:
            return None
        tag = version_tag(version)
        self._require_base(tag, base_of_version(self.db, version), 'seal-console versions rollback v0000 --reason "…"')
        files = version_adapter_files(self.workspace, self.db, version)
        adapter, _ = fitted_to(self.read(files, tag), self.inner_spec, seed=0)
        return adapter

    def policy_adapter(self, version: int | None) -> Adapter | None:
        """Return the adapter that writes self-edits; None for the base itself.

        Raises WrongUseError if it was trained on another base.
        """
        if version is None:
            return None
        tag = policy_tag(version)
        self._require_base(tag, base_of_policy(self.db, version), None)
        files = policy_adapter_files(self.workspace, self.db, version)
        adapter, _ = fitted_to(self.read(files, tag), self.policy_spec, seed=0)
        return adapter

    def starting_adapter(self, live: Adapter | None, seed: int) -> Adapter:
        """Return what an inner update starts from: the live adapter, or a fresh one."""
        return fresh_adapter(self.inner_spec, seed) if live is None else live

    @property
    def newest_policy(self) -> PolicyVersion | None:
        """The newest policy version of this base; None if the base itself writes self-edits."""
        return latest_policy_on(self.db, self.base.fingerprint)

    def read(self, files: dict[str, bytes], where: str) -> Adapter:
        """Read and check an adapter for this base."""
        return read_adapter(files, self._every_matrix, where)

    @cached_property
    def _every_matrix(self) -> LoraSpec:
        return make_spec(self.base.model, rank=1, alpha=1.0, target_modules="all-linear")

    def _require_base(self, tag: str, trained_on: dict[str, Any] | None, way_out: str | None) -> None:
        if is_of(trained_on, self.base.fingerprint):
            return
        restore = "set model.path in seal.yaml back to it"
        raise WrongUseError(
            f"{tag} was trained on another base than seal.yaml names: {(trained_on or {}).get('name')!r}, "
            f"not {self.base.name!r}",
            next_step=restore if way_out is None else f"{restore}, or start over from the base in seal.yaml: {way_out}",
        )


def recipe_of(settings: InnerUpdateSettings | PolicyTrainingSettings) -> Recipe:
    """Return the recipe of an inner update or of policy training, from its settings."""
    return Recipe(
        epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        schedule=settings.schedule,
        batch_size=settings.batch_size,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
    )


@contextmanager
def open_session(workspace: Workspace, command: str, report: Report = ignore_progress) -> Iterator[Session]:
    """Take the engine lock (`runtime.engine_lock`) and load the base.

    Raises LockedError if another engine is working in the workspace.
    """
    settings = load_settings(workspace.settings_file)
    with lock_workspace(workspace, command, report) as locked:
        settings = with_folder_of_gguf(settings, workspace.cache_folder, locked.report)
        base = load_base_of(settings)
        with pool_of(base, settings.model) or nullcontext() as pool:
            yield Session(workspace, locked.db, settings, base, locked.report, pool=pool)


def pool_of(base: BaseModel, settings: ModelSettings) -> ProcessPool | None:
    """Return the compute processes that the settings ask for; None for this process alone."""
    return make_pool(base, settings.processes, own_code=settings.trust_remote_code)


def _spec(base: BaseModel, settings: InnerUpdateSettings | PolicyTrainingSettings, section: str) -> LoraSpec:
    modules = settings.target_modules
    targets = modules if modules == "all-linear" else list(modules)
    return make_spec(base.model, rank=settings.rank, alpha=settings.alpha, target_modules=targets, section=section)
