from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.loop.accept import accept_candidate
from store.candidates import reject
from store.sanitize import json_line, sanitize, sanitize_line
from tests.test_console.cli_scenario import CandidateMaker, CliCaller, make_task

if TYPE_CHECKING:
    from store.records import Task
    from store.workspace import Workspace

HOSTILE = (
    "a\x1b[2Jb\x1b]52;c;aGk=\x07c\x9b31md\x7fe\u202ef\u2066g\u2028h\rI\x08J\x00K "
    "[bold]L[/] [@click=app.quit]M[/] :x: \ud800N"
)
# What a terminal or a reader could be misled by; rich itself adds no escape where stdout is no terminal.
FORBIDDEN = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), "\u202e", "\u2066", "\u2028", "\ud800"} - {
    "\n",
    "\t",
}


def test_control_characters_become_visible_signs() -> None:
    assert sanitize("a\x1b[2J\x07\x7f\x9b\u202eb\n\tc") == "a␛[2J␇␡⟨U+009B⟩⟨U+202E⟩b\n\tc"
    assert sanitize_line("a\nb\tc") == "a⏎b→c"
    assert sanitize_line("abcdef", 4) == "abc…"


def test_what_is_no_danger_stays() -> None:
    text = "Ünïcödé 日本語 👩‍👩‍👧 עברית — [x] :smile: \\ “”"
    assert sanitize(text) == text


@given(st.text(st.characters(codec=None)))
def test_nothing_dangerous_passes_and_sanitized_twice_is_sanitized_once(text: str) -> None:
    shown = sanitize(text)
    assert not FORBIDDEN & set(shown)
    assert sanitize(shown) == shown
    assert "\n" not in sanitize_line(text)


@given(st.text(st.characters(codec=None)))
def test_json_lines_are_sanitized_and_say_exactly_the_same(text: str) -> None:
    for ascii_only in (False, True):
        line = json_line({"text": text}, ascii_only=ascii_only)
        assert not FORBIDDEN & set(line)
        assert json.loads(line) == {"text": text}


def hostile_task() -> Task:
    return make_task(HOSTILE.replace("\ud800", ""), HOSTILE.replace("\ud800", ""))


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_no_command_passes_hostile_text_on(workspace: Workspace, call: CliCaller, *, as_json: bool) -> None:
    text = HOSTILE.replace("\ud800", "")
    maker = CandidateMaker.begin(workspace, hostile_task())
    wanted = maker.examined(completion=text)
    other = maker.examined(completion=text)
    accept_candidate(workspace, maker.db, wanted.id, actor=text.replace("\x00", ""), reason=text)
    reject(maker.db, other.id, "ada", text)
    maker.db.conn.close()
    more = ("--json",) if as_json else ()
    for words in (
        ("tasks", "list"),
        ("review", "list"),
        ("review", "show", wanted.id),
        ("review", "accept", wanted.id, "--reason", text, "--as", text.replace("\x00", "")),
        ("review", "show", wanted.id),
        ("review", "reject", other.id, "--reason", text),
        ("review", "show", other.id),
        ("versions", "list"),
        ("versions", "show", "v0001"),
        ("review", "show", f"{HOSTILE}"),
        ("versions", "rollback", HOSTILE, "--reason", "x"),
        ("tasks", "check", HOSTILE.replace("\x00", "")),
        ("info",),
        (HOSTILE,),
    ):
        called = call(*words, *more)
        assert not FORBIDDEN & set(called.out + called.err), words
        assert "Traceback" not in called.err
        if not as_json and words[:2] == ("review", "show") and not called.code:
            assert "[bold]L[/] [@click=app.quit]M[/] :x:" in called.out
