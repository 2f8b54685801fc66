"""Output that cannot be written: a full device, a reader that has gone, a closed stdout; as real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import seal_console
from store.candidates import get_candidate

if TYPE_CHECKING:
    from tests.test_console.cli_scenario import CandidateMaker

ROOT = Path(str(seal_console.__file__)).parents[1]
REJECT = ("review", "reject", "sha256:01cc", "--reason", "wrong")


def _call(maker: CandidateMaker, words: tuple[str, ...], redirection: str) -> subprocess.CompletedProcess[str]:
    command = f'exec "$0" -m seal_console "$@" {redirection}'
    return subprocess.run(
        ["bash", "-c", command, sys.executable, "-w", str(maker.workspace.root), *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("redirection", ["> /dev/full", "> >(exec true; exit)", ">&-", "> /dev/full 2> /dev/full"])
def test_a_decision_that_was_made_is_no_failure(maker: CandidateMaker, redirection: str) -> None:
    candidate = maker.examined(0.5)
    called = _call(maker, REJECT, redirection)
    assert (called.returncode, get_candidate(maker.db, candidate.id).state) == (0, "rejected")
    assert "Traceback" not in called.stderr
    assert "Exception ignored" not in called.stderr
    if redirection == "> /dev/full":
        assert "Warning: the command did what it should, but its output could not be written" in called.stderr


@pytest.mark.parametrize("words", [("review", "list"), ("info", "--json"), ("export", "table", "tasks"), ("--help",)])
def test_a_command_that_only_shows_fails_if_it_cannot(maker: CandidateMaker, words: tuple[str, ...]) -> None:
    maker.examined(0.5)
    called = _call(maker, words, "> /dev/full")
    assert called.returncode == 1
    assert "The output could not be written: No space left on device." in called.stderr
    assert "Traceback" not in called.stderr
    assert "Exception ignored" not in called.stderr


def test_a_refused_command_keeps_its_exit_code(maker: CandidateMaker) -> None:
    called = _call(maker, ("review", "show", "nope", "--json"), "> /dev/full")
    assert (called.returncode, "There is no candidate" in called.stderr) == (2, True)


@pytest.mark.parametrize("words", [("review", "list"), ("info",), ("verify",)])
def test_a_closed_stdout_gives_no_traceback(maker: CandidateMaker, words: tuple[str, ...]) -> None:
    called = _call(maker, words, ">&-")
    assert (called.returncode, called.stderr) == (0, "")
