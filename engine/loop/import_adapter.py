"""Imports a PEFT LoRA adapter as a workspace's first version: read, checked against base and settings, then made live.

It is kept in the shape of inner updates. That is exact: a layer or rank that the source lacks gets a product of zero.
Whether it was trained on the very same base cannot be known from its files; shapes are all that is checked.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from engine.lora.adapter import Adapter, LoraSpec, fitted_to
from engine.lora.files import adapter_files
from store import versions
from store.adapter_files import ADAPTER_NAMES, CONFIG_NAME, WEIGHTS_NAME, adapter_problems, hash_adapter
from store.errors import CorruptError, WrongUseError
from store.importing import AdapterOrigin, require_nothing_accepted
from store.wording import counted

if TYPE_CHECKING:
    from engine.loop.session import Session
    from store.records import Version

_POINTER = b"version https://git-lfs"


def import_adapter(session: Session, folder: Path, *, actor: str, reason: str) -> tuple[Version, AdapterOrigin]:
    """Make the adapter in a folder the live version v0001.

    Raises WrongUseError, with the file, the key or the layer, if it is not one, asks for more than plain LoRA, does not
    fit the base or the settings, or if something was accepted already.
    """
    require_nothing_accepted(session.db)  # before anything large is read
    files = _read_files(folder)
    adapter = _read(session, files, folder)
    _require_room(session.inner_spec, adapter, folder)
    fitted, _ = fitted_to(adapter, session.inner_spec, seed=0)
    named = str(json.loads(files[CONFIG_NAME]).get("base_model_name_or_path") or "")
    if not _is_same_name(named, session.base.folder):
        session.say(
            f"The adapter names the base {named or 'nothing'!r}, this workspace {session.base.folder!r}. "
            "Its shapes fit, but only you know whether it was trained on these weights."
        )
    origin = AdapterOrigin(
        folder=str(folder),
        source_hash=hash_adapter(files),
        base_named=named,
        rank=adapter.spec.rank,
        alpha=adapter.spec.alpha,
        layers=len(adapter.weights),
    )
    version = versions.import_adapter(
        session.workspace,
        session.db,
        adapter_files(fitted, session.base.folder),
        session.base.described(),
        origin,
        actor=actor,
        reason=reason,
    )
    return version, origin


def _read_files(folder: Path) -> dict[str, bytes]:
    """Read both files of an adapter; raises WrongUseError that names the one that is missing or broken."""
    if not folder.is_dir():
        raise WrongUseError(f"{folder} is not a folder.", next_step=f"Name the folder that has {CONFIG_NAME}.")
    missing = [name for name in ADAPTER_NAMES if not (folder / name).is_file()]
    if missing:
        pickled = (folder / "adapter_model.bin").is_file() and WEIGHTS_NAME in missing
        raise WrongUseError(
            f"{folder} has no {' and no '.join(missing)}"
            + ("; weights in pickle formats (adapter_model.bin) are never read." if pickled else "."),
            next_step="Save the adapter with PEFT's save_pretrained, in safetensors.",
        )
    for name in ADAPTER_NAMES:
        with (folder / name).open("rb") as stream:
            if stream.read(len(_POINTER)) == _POINTER:
                raise WrongUseError(
                    f"{folder / name} is a Git LFS pointer, not the file itself.", next_step=f"git -C {folder} lfs pull"
                )
    files = {name: (folder / name).read_bytes() for name in ADAPTER_NAMES}
    if problems := adapter_problems(files):
        raise WrongUseError(
            f"{folder} is not a usable adapter.", problems=problems, next_step="Download or save it again."
        )
    return files


def _read(session: Session, files: dict[str, bytes], folder: Path) -> Adapter:
    try:
        return session.read(files, str(folder))
    except CorruptError as error:  # as one's own file it would be damage; as input it is the wrong adapter
        raise WrongUseError(
            error.message,
            problems=error.problems,
            next_step=error.next_step or "Take an adapter of this base, or set model.path in seal.yaml to its base.",
        ) from error


def _require_room(spec: LoraSpec, adapter: Adapter, folder: Path) -> None:
    """Raise WrongUseError, with the setting to change, if inner updates could not hold the adapter exactly."""
    if adapter.spec.rank > spec.rank:
        raise WrongUseError(
            f"{folder} has rank {adapter.spec.rank}, inner updates have {spec.rank}: it would not fit exactly.",
            next_step=f"set inner_update.rank: {adapter.spec.rank} in seal.yaml",
        )
    lost = sorted(adapter.weights.keys() - {target.module for target in spec.targets})
    if lost:
        raise WrongUseError(
            f"{folder} changes {counted(len(lost), 'layer')} that inner_update.target_modules lacks: {lost[0]} …",
            next_step="set inner_update.target_modules: all-linear in seal.yaml, or name these layers there",
        )


def _is_same_name(named: str, folder: str) -> bool:
    return bool(named) and Path(named).name == Path(folder).name
