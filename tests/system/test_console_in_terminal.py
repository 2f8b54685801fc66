"""Whole flows of the console in a pseudo-terminal: what operators do, and what happens to terminals and processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest

from engine.settings.reading import default_settings_text
from store.candidates import decisions_of, get_candidate
from store.verify import verify
from store.version_rows import list_moves, list_versions
from store.workspace import create_workspace
from tests.system.console_terminal import (
    CTRL_B,
    CTRL_Q,
    CTRL_R,
    CTRL_S,
    ENTER,
    WITHIN_S,
    ConsoleTerminal,
)
from tests.test_console.cli_scenario import CandidateMaker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

# Words that each screen shows in every size, and no other screen shows together.
SCREENS = {
    "1": ("What needs me?",),
    "2": ("/ filter", "1 listed"),
    "3": ("0 accepted", "Version"),
    "4": ("1 round",),
    "5": ("/ filter", "1 task by"),
    "6": ("/ filter", " events"),
    "7": ("no active alarms",),
}
ENDS_BY = (signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def maker(tmp_path: Path) -> Iterator[CandidateMaker]:
    opened = CandidateMaker.begin(create_workspace(tmp_path / "w", default_settings_text()))
    yield opened
    opened.db.conn.close()


def open_console(
    maker: CandidateMaker, *options: str, columns: int = 120, rows: int = 40, **environment: str
) -> ConsoleTerminal:
    return ConsoleTerminal(maker.workspace.root, *options, columns=columns, rows=rows, environment=environment)


def into_review(console: ConsoleTerminal) -> None:
    console.sees("What needs me?", "for a decision")
    console.opens("2", "Answers before", "examined")


def accept(console: ConsoleTerminal, reason: str) -> None:
    console.opens("A", "Accept this self-edit as v0001?")
    console.opens(reason, reason)
    console.opens(CTRL_S, "v0001 is live")


def test_what_is_accepted_can_be_rolled_back_and_the_terminal_is_given_back_as_it_was(maker: CandidateMaker) -> None:
    maker.examined(0.9)
    with open_console(maker, "--as", "ada") as console:
        into_review(console)
        accept(console, "says the new period")
        console.opens("3", "1 accepted", "◆ live")
        console.opens("g", "accepted by    ada")
        console.opens("G", "v0000  not live")
        console.opens(CTRL_B, "Roll live back to v0000?", "type v0000 to confirm")
        console.opens("v0000", "  v0000  ")
        console.keys(ENTER)
        console.until(lambda _: "reason (kept" in console.lines()[console.screen.cursor.y])
        console.opens("wrong document", "wrong document")
        console.opens(CTRL_S, "v0000 is live now")
        console.keys(CTRL_Q)
        assert console.ended() == 0
        assert console.is_restored
    (version,) = list_versions(maker.db)
    assert (version.accepted_by, version.reason) == ("ada", "says the new period")
    assert [(one.cause, one.to_version) for one in list_moves(maker.db)] == [("accept", 1), ("rollback", None)]
    assert verify(maker.workspace, maker.db).problems == []


def test_ctrl_q_leaves_from_a_dialog_and_nothing_is_decided(maker: CandidateMaker) -> None:
    candidate = maker.examined(0.9)
    with open_console(maker) as console:
        into_review(console)
        console.opens("A", "Accept this self-edit as v0001?")
        console.opens("half a reas", "half a reas")
        console.keys(CTRL_Q)
        assert console.ended() == 0
        assert console.is_restored
    assert get_candidate(maker.db, candidate.id).state == "examined"
    assert decisions_of(maker.db, candidate.id) == []


@pytest.mark.parametrize("number", ENDS_BY, ids=lambda number: number.name)
def test_a_console_that_is_asked_to_end_gives_the_terminal_back(maker: CandidateMaker, number: signal.Signals) -> None:
    maker.examined(0.9)
    with open_console(maker) as console:
        into_review(console)
        console.opens("A", "Accept this self-edit as v0001?")
        os.kill(console.pid, number)
        assert console.ended() == 0
        assert console.is_restored


def test_a_console_whose_terminal_is_closed_ends(maker: CandidateMaker) -> None:
    maker.examined(0.9)
    with open_console(maker) as console:
        into_review(console)
        assert console.ends_when_closed() == -signal.SIGHUP
    assert verify(maker.workspace, maker.db).problems == []


def test_every_screen_comes_up_whole_in_every_size(maker: CandidateMaker) -> None:
    maker.examined(0.9)
    with open_console(maker) as console:
        console.sees("What needs me?", "for a decision")
        for columns, rows in ((200, 60), (80, 24), (40, 10), (120, 40)):
            console.resized(columns, rows)
            for key, words in SCREENS.items():
                console.keys(key)
                console.until(partial(_is_whole, words=words))
        assert not list(maker.workspace.cache_folder.glob("reports/*"))


def _is_whole(text: str, words: tuple[str, ...]) -> bool:
    """Tell whether a screen has its first line, its words, and its keys."""
    first, *rest = text.splitlines()
    return first.startswith(" 1 Now ") and all(word in text for word in words) and rest[-1].strip() != ""


def test_a_console_that_is_killed_loses_nothing_and_the_next_one_shows_what_is(maker: CandidateMaker) -> None:
    maker.examined(0.9)
    second = maker.examined(0.7)
    with open_console(maker, "--as", "ada") as console:
        into_review(console)
        accept(console, "good")
        console.sees("02cccccccc")
        console.opens("x", "Reject this self-edit?")
        console.opens("not yet said", "not yet said")
        os.kill(console.pid, signal.SIGKILL)
        assert console.ended() == -signal.SIGKILL
    with open_console(maker) as console:
        console.sees("live v0001", "1 self-edit waits for a decision")
        console.opens("2", "02cccccccc", "examined")
    assert get_candidate(maker.db, second.id).state == "examined"
    assert verify(maker.workspace, maker.db).problems == []


def test_of_two_consoles_the_second_to_decide_learns_who_was_first(maker: CandidateMaker) -> None:
    candidate = maker.examined(0.9)
    with open_console(maker, "--as", "ada") as first, open_console(maker, "--as", "bob") as second:
        into_review(first)
        into_review(second)
        second.opens("x", "Reject this self-edit?")
        second.opens("too late", "too late")
        accept(first, "good")
        second.sees("live v0001", "too late")
        second.opens(CTRL_S, "ada")
        assert "rejected. u undoes" not in second.text()
        second.sees("✓ accepted")
    assert [(one.action, one.actor) for one in decisions_of(maker.db, candidate.id)] == [("accept", "ada")]


def test_a_decision_in_one_console_is_seen_in_the_row_of_the_other(maker: CandidateMaker) -> None:
    maker.examined(0.9)
    maker.examined(0.7)
    with open_console(maker, "--as", "ada") as first, open_console(maker, "--as", "bob") as second:
        into_review(first)
        into_review(second)
        first.opens("x", "Reject this self-edit?")
        first.opens("not so", "not so")
        first.opens(CTRL_S, "1 rejected")
        second.sees("✗ rejected", "› +0.900")


def test_a_checkout_by_hand_is_noticed(maker: CandidateMaker) -> None:
    maker.examined(0.9)
    with open_console(maker) as console:
        into_review(console)
        accept(console, "good")
        subprocess.run(["git", "checkout", "-q", "v0000"], cwd=maker.workspace.adapters_folder, check=True)
        console.sees("Noticed: v0000", "live v0000")
    assert [one.to_version for one in list_moves(maker.db)] == [1, None]


def test_a_read_only_console_decides_nothing_and_says_so(maker: CandidateMaker) -> None:
    candidate = maker.examined(0.9)
    with open_console(maker, "--read-only") as console:
        into_review(console)
        console.sees("READ-ONLY")
        for key in ("A", "x", "d", "e", "t"):
            console.opens(key, "read-only")
        console.opens(CTRL_R, "read-only")
        console.keys(CTRL_Q)
        assert console.ended() == 0
    assert get_candidate(maker.db, candidate.id).state == "examined"
    assert decisions_of(maker.db, candidate.id) == []


def test_without_colour_right_and_wrong_are_still_distinguished(maker: CandidateMaker) -> None:
    maker.examined(0.9)
    with open_console(maker, NO_COLOR="1") as console:
        into_review(console)
        console.sees("✗ wrong 14 days", "✓ right 30 days")
        console.opens("x", "Reject this self-edit?")
        styles = " ".join(one for one in console.controls if one.endswith("m"))
    shades = re.findall(r"[34]8;2;(\d+);(\d+);(\d+)", styles)
    assert {len(set(one)) for one in shades} == {1}, "shades of grey have equal parts"
    others = set(re.findall(r"\d+", re.sub(r"[34]8;2;\d+;\d+;\d+", "", styles)))
    assert not others & {str(number) for number in (*range(30, 49), *range(90, 108))}


def test_without_a_terminal_it_shows_what_there_is(maker: CandidateMaker) -> None:
    command = [sys.executable, "-m", "seal_console", "-w", str(maker.workspace.root)]
    finished = subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=WITHIN_S
    )
    assert finished.returncode == 0
    assert "live version" in finished.stdout
    assert "\x1b" not in finished.stdout + finished.stderr


def test_the_console_draws_on_the_terminal_if_stderr_goes_into_a_file(maker: CandidateMaker, tmp_path: Path) -> None:
    maker.examined(0.5)
    log = tmp_path / "log"
    command = ("bash", "-c", f'exec "$0" -m seal_console "$@" 2>{log}', sys.executable)
    with ConsoleTerminal(maker.workspace.root, command=command) as console:
        into_review(console)
        console.keys(CTRL_Q)
        assert console.ended() == 0
    assert log.read_bytes() == b""
