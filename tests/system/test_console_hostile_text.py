"""A console full of hostile text, in a pseudo-terminal: nothing of it reaches the terminal as anything but text."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from store.lock import hold_lock
from tests.system.console_terminal import (
    CTRL_B,
    CTRL_P,
    CTRL_Q,
    CTRL_S,
    CTRL_U,
    END,
    ENTER,
    F2,
    F3,
    TAB,
    UP,
    ConsoleTerminal,
    pasted,
)
from tests.system.hostile_workspace import TextMaker, make_workspace

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

# What misleads a reader, though no terminal acts on it.
UNSEEN = re.compile("[\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\U000e0000-\U000e007f]")
C1 = re.compile("[\x80-\x9f]")
TITLES = {"OSC 0", "OSC 1", "OSC 2"}
MARKER = re.compile(r"\bW[a-z]+(?:-[a-z]+)?")
# Each text of the workspace, and each that is typed; the words are those of hostile_workspace.
WORDS = """
    Waccepter Waction Wafter Wagain Wagain-end Walarm Walso Wasker Wbase Wbecause Wbefore Wcommand Wcommand-end
    Wcompletion Wcompletion-end Wcompletion-long Wdeferred Wdeferrer Wdocpath Wdoctitle Wdoer Weditor Wengine
    Wevidence Wfailed Wfigure Wfilter Wfolder Wformat Wgate Wgold Wkey Wkind Wmodel Wmodule Wmoved Wmover Wname-end
    Wother Wpalette Wpassage Wpassage-end Wpassage-long Wpasted-end Wpath-end Wprompt Wprompt-end Wpublished
    Wquestion Wreason-end Wrecipe Wrejected Wrejecter Wrunning Wsampling Wsaved Wsequence Wsetting Wsource Wstage
    Wtitle Wtyped-end Wunit Wvalue
"""
EVERY_TEXT = set(WORDS.split())


@dataclass(frozen=True)
class ConsoleOutput:
    """What a console wrote in the walk over everything."""

    text: str
    controls: list[str]
    markers: set[str]

    @property
    def kinds(self) -> set[str]:
        return {_kind(one) for one in self.controls}

    @property
    def copied(self) -> list[str]:
        return [base64.b64decode(one[7:].rstrip("\x07\x1b\\")).decode() for one in self.controls if "]52;" in one[:6]]


def test_no_hostile_text_reaches_the_terminal_as_anything_but_text(tmp_path: Path) -> None:
    hostile, harmless = (_walked(tmp_path / str(one), hostile=one) for one in (True, False))
    assert hostile.kinds - harmless.kinds == set()
    assert not {kind for kind in hostile.kinds if kind in TITLES or kind.startswith(("DCS", "CSI J", "ESC c", "C1"))}
    assert not UNSEEN.search(hostile.text)
    assert not C1.search(hostile.text)
    assert [one.split()[0] for one in hostile.copied] == [one.split()[0] for one in harmless.copied] == ["git", "id"]
    assert set() == EVERY_TEXT - hostile.markers
    assert set() == EVERY_TEXT - harmless.markers


def _walked(folder: Path, *, hostile: bool) -> ConsoleOutput:
    """Look at everything on a screen that needs no scrolling, then act in every way on a small one."""
    words = TextMaker(hostile)
    workspace = make_workspace(folder, hostile=hostile)
    written = []
    for columns, rows in ((160, 200), (80, 24)):
        with (
            hold_lock(workspace.lock_file, words.line("Wengine")),
            ConsoleTerminal(workspace.root, "--as", "Woperator", columns=columns, rows=rows) as console,
        ):
            console.sees("What needs me?", "Round 2", "Wstage")
            _look(console) if rows > columns else _act(console, words, workspace.root / "exports")
            console.keys(CTRL_Q)
            assert console.ended() == 0
            written.append(console)
    assert not list(workspace.cache_folder.glob("reports/*")), "something unexpected happened"
    return ConsoleOutput(
        "".join(one.decoded for one in written),
        [control for one in written for control in one.controls],
        {marker for one in written for marker in MARKER.findall(one.drawn)},
    )


def _kind(control: str) -> str:
    """What a sequence does: its number for OSC, its sign and parameters for CSI without places and colours."""
    if control.startswith("\x1b]"):
        return f"OSC {control[2:].partition(';')[0]}"
    if control.startswith("\x1b["):
        return f"CSI {control[-1]}" if control[-1] in "mH" else f"CSI {control[-1]} {control[2:-1]}"
    if control.startswith(("\x1bP", "\x1bX", "\x1b^", "\x1b_")):
        return f"DCS {control[1:]}"
    if control.startswith("\x1b"):
        return f"ESC {control[1:]}"
    return f"{'C1' if ord(control) > 0x7F else 'C0'} {ord(control):02x}"


def _look(console: ConsoleTerminal) -> None:
    console.opens(F2, "Paths and versions")
    console.closes("Paths and versions")
    console.opens(F3, "Settings", "source: ")
    console.closes("source: ")
    console.opens("2", "2 listed", "Wtitle", "Self-edit")
    console.opens("v", "6 in all")
    console.opens(END, "06cccccccc")
    for place in ("05", "02", "01", "04", "03"):
        console.opens(UP, f"{place}cccccccc")
    console.opens("3", "2 accepted", "v0002", "Wagain")
    console.opens("g", " v0002  not live")
    console.opens("m", "v0002 marked")
    console.opens("j", " v0001  ◆ live")
    console.opens("m", "v0001 and v0002 compared")
    console.closes("compared")
    console.opens("4", "1 imported", "Round 2")
    console.opens("j", "Round 1")
    console.opens("5", "1 task", "Wtitle", "source")
    console.opens("6", "Event", "Wkind")
    for number, kind in ((31, "round.interrupted"), (30, "job.added"), (29, "job.finished")):
        console.opens(UP, f"Event {number}  {kind}")
    console.opens("a", "Waction", "by             Wdoer")
    console.opens("7", "alarm 1 is active: echo", "Walarm", "on the edit of v0001")


def _act(console: ConsoleTerminal, words: TextMaker, exports: Path) -> None:
    console.opens("?", "Help: now")
    console.closes("Help: now")
    _palette(console, words)
    console.opens("2", "2 listed", "Wtitle")
    console.opens("v", "6 in all")
    console.opens("j", "04cccccccc")
    _decisions(console, words)
    _review_dialogs(console, words)
    _saved_filters(console, words)
    for key, name in (("6", "events"), ("5", "tasks"), ("4", "rounds"), ("3", "versions"), ("2", "review")):
        _export(console, key, name, exports)
    console.opens("3", "2 accepted", "Wagain")
    console.opens("g", " v0002  not live")
    console.opens(CTRL_B, "Make v0002 live again?")
    console.closes("live again?")
    console.opens("y", "Copied")
    console.opens("5", " Title ")
    console.keys("Y")
    console.until(lambda _: console.raw.count(b"\x1b]52;") == 2)  # its message may lie below those before it
    console.opens("1", "What needs me?")


def _palette(console: ConsoleTerminal, words: TextMaker) -> None:
    console.opens(CTRL_P, "Search for commands")
    console.opens(pasted(words.line("Wpalette")), "Wpalette")
    console.closes("Search for", "Wpalette")
    console.opens(CTRL_P, "Search for commands")
    console.opens("Wtitle", "Go to task Wtitle")
    console.closes("Go to task")


def _decisions(console: ConsoleTerminal, words: TextMaker) -> None:
    console.opens("A", "Accept this self-edit as v0003?")
    _pastes(console, words, "Wreason")
    console.closes("Accept this self-edit")
    console.opens("d", "Defer this self-edit?")
    console.closes("Defer this")
    console.opens("x", "Reject this self-edit?")
    _pastes(console, words, "Wreason")
    console.opens(CTRL_S, "1 rejected")
    console.opens("u", "Undo your last decision?")
    console.opens(CTRL_S, "Undone")


def _review_dialogs(console: ConsoleTerminal, words: TextMaker) -> None:
    console.opens("e", "Evaluate it")
    console.opens(pasted(words.text("Wpasted")), "Wpasted-end")
    console.closes("Evaluate it")
    console.opens("t", "Training sequences")
    console.closes("Training sequences")
    console.opens("w", "Export review")
    _pastes(console, words, "Wpath")
    console.opens(ENTER, "Failed")
    away = console.background(0, 1)
    _into_field(console, "/")
    _pastes(console, words, "Wtyped", before="size>1 ")
    console.opens(ENTER, "Unknown field")
    _clear_filter(console, away)


def _saved_filters(console: ConsoleTerminal, words: TextMaker) -> None:
    away = console.background(0, 1)
    console.opens("F", "Saved filters", "Wsaved")
    console.keys(ENTER)
    console.sees("Wfilter", without=["Saved filters"])
    console.opens("F", "Save the current filter")
    _into_field(console, TAB)
    _pastes(console, words, "Wname")
    console.keys(ENTER)
    console.sees("The filter is saved.", without=["Save the current"])
    console.opens("F", "Saved filters", "Wname")
    console.closes("Save the current")
    _clear_filter(console, away)


def _clear_filter(console: ConsoleTerminal, away: str) -> None:
    """Empty the filter; the keys are the table's again once the field's background tells that it was left."""
    _into_field(console, "/")
    console.opens(ENTER, "6 in all")
    console.until(lambda _: console.background(0, 1) == away)


def _into_field(console: ConsoleTerminal, key: bytes | str) -> None:
    """Press the key that leads into a field, and go on when what is typed arrives there; the field is empty then."""
    console.keys(key)
    console.presses_until("~", "~~")
    console.keys(END, CTRL_U)
    console.sees(without=["~"])


def _export(console: ConsoleTerminal, key: str, name: str, exports: Path) -> None:
    console.keys(key)
    console.presses_until("w", f"Export {name}")
    console.keys(ENTER)
    console.until(lambda _: list(exports.glob(f"{name}-*.csv")))
    console.sees(without=[f"Export {name}"])


def _pastes(console: ConsoleTerminal, words: TextMaker, word: str, before: str = "") -> None:
    """Paste a line into a field, and type a character: then it shows its end. Fields cut what is pasted at a return."""
    line = words.line(word).replace("\r", "")
    console.keys(pasted(f"{before}{line} {word}-end"))
    console.opens("!", f"{word}-end!")
