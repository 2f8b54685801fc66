"""An opened workspace with its base model: what every operation that touches a model works on."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from engine.bank.auto import auto_slots
from engine.bank.job import Recipe
from engine.guardrails.rule import Guardrails
from engine.lora.adapter import Adapter, LoraSpec, fitted_to, fresh_adapter, make_spec
from engine.lora.files import read_adapter
from engine.model.base import BaseModel, load_base
from engine.runtime.engine_lock import lock_workspace
from engine.runtime.progress import Report, ignore_progress
from engine.settings.reading import load_settings
from store.base_compatibility import base_of_policy, base_of_version, is_of, latest_policy_on
from store.errors import WrongUseError
from store.policy_versions import policy_adapter_files
from store.version_tags import policy_tag, version_tag
from store.versions import version_adapter_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlite_utils import Database

    from engine.settings.sections import InnerUpdateSettings, PolicyTrainingSettings, Settings
    from store.records import PolicyVersion
    from store.workspace import Workspace


@dataclass
class Session:
    """A workspace under the engine lock, its settings and its base. Use `open_session`.

    `rules` are those that candidates are judged by: a round's own once it has begun.
    """

    workspace: Workspace
    db: Database
    settings: Settings
    base: BaseModel
    report: Report = ignore_progress
    rules: Guardrails = field(default_factory=Guardrails)

    def under(self, settings: Settings, rules: Guardrails | None = None) -> Session:
        """Return the same session with the settings, and the rules, that a round began under."""
        rules = self.rules if rules is None else rules
        same = settings == self.settings and rules == self.rules
        return self if same else replace(self, settings=settings, rules=rules)

    @cached_property
    def inner_spec(self) -> LoraSpec:
        """The shape of inner updates."""
        return _spec(self.base, self.settings.inner_update)

    @cached_property
    def policy_spec(self) -> LoraSpec:
        """The shape of policy adapters."""
        return _spec(self.base, self.settings.policy_training)

    @property
    def slots(self) -> int:
        """Inner updates trained at once."""
        wanted = self.settings.inner_update.slots
        return auto_slots(self.base, self.inner_spec) if wanted == "auto" else wanted

    def live_adapter(self, version: int | None) -> Adapter | None:
        """The adapter of a version in the shape of inner updates; None where nothing is live.

        Raises WrongUseError where it was trained on another base: its shapes may fit, what it says would not.
        """
        if version is None:
            return None
        self._require_base(
            version_tag(version), base_of_version(self.db, version), "seal-console versions rollback v0000"
        )
        files = version_adapter_files(self.workspace, self.db, version)
        adapter, _ = fitted_to(read_adapter(files, self._every_matrix, version_tag(version)), self.inner_spec, seed=0)
        return adapter

    def policy_adapter(self, version: int | None) -> Adapter | None:
        """The adapter that writes self-edits; None for the base itself.

        Raises WrongUseError where it was trained on another base.
        """
        if version is None:
            return None
        self._require_base(policy_tag(version), base_of_policy(self.db, version), None)
        files = policy_adapter_files(self.workspace, self.db, version)
        adapter, _ = fitted_to(read_adapter(files, self._every_matrix, policy_tag(version)), self.policy_spec, seed=0)
        return adapter

    def starting_adapter(self, live: Adapter | None, seed: int) -> Adapter:
        """What an inner update starts from: the live adapter, or a fresh one."""
        return fresh_adapter(self.inner_spec, seed) if live is None else live

    @property
    def newest_policy(self) -> PolicyVersion | None:
        """The newest policy version of this base; None where the base itself writes self-edits."""
        return latest_policy_on(self.db, self.base.fingerprint)

    def _require_base(self, tag: str, trained_on: dict[str, Any] | None, way_out: str | None) -> None:
        if is_of(trained_on, self.base.fingerprint):
            return
        set_back = "set model.path in seal.yaml back to it"
        raise WrongUseError(
            f"{tag} was trained on another base than seal.yaml names: {(trained_on or {}).get('name')!r}, "
            f"not {self.base.name!r}",
            next_step=set_back
            if way_out is None
            else f"{set_back}, or begin anew from the base that is named: {way_out}",
        )

    def read(self, files: dict[str, bytes], where: str) -> Adapter:
        """Read and check an adapter for this base."""
        return read_adapter(files, self._every_matrix, where)

    @cached_property
    def _every_matrix(self) -> LoraSpec:
        return make_spec(self.base.model, rank=1, alpha=1.0, target_modules="all-linear")


def recipe_of(settings: InnerUpdateSettings | PolicyTrainingSettings) -> Recipe:
    """The recipe of an inner update or of policy training, from its settings."""
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
    """Hold the workspace (`holding.hold_workspace`) and load the base.

    Raises LockedError where another engine works in the workspace.
    """
    settings = load_settings(workspace.settings_file)
    with lock_workspace(workspace, command, report) as held:
        yield Session(workspace, held.db, settings, load_base_of(settings), held.report)


def load_base_of(settings: Settings) -> BaseModel:
    """Load the base that the settings name."""
    model = settings.model
    return load_base(
        model.path,
        device=model.device,
        precision=model.precision,
        trust_remote_code=model.trust_remote_code,
        prompt_style=model.prompt_style,
        max_length=model.max_length,
    )


def _spec(base: BaseModel, settings: InnerUpdateSettings | PolicyTrainingSettings) -> LoraSpec:
    wanted = settings.target_modules
    targets = wanted if wanted == "all-linear" else list(wanted)
    return make_spec(base.model, rank=settings.rank, alpha=settings.alpha, target_modules=targets)
