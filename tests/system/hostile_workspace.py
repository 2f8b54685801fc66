"""A workspace in which every text that the console can show tries to reach the terminal; and its harmless twin."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import yaml

from engine.loop.candidate_cache import keep_adapter
from engine.settings.reading import default_settings_text
from seal_console.console.actions import HISTORY_NAME
from seal_console.console.command_trace import Trace
from store.alarms import raise_alarm
from store.answers import record_base_answers
from store.candidates import add_candidates, decisions_of, defer, record_examined, reject
from store.clock import utc_now
from store.database import open_database
from store.events import append_event
from store.jobs import add_job, finish_job, start_job
from store.live_progress import put_progress
from store.records import Answer, Candidate, Document, GateResult, InnerUpdate, LiveProgress, Question, Split, Task
from store.rounds import finish_round, interrupt_round, start_round
from store.saved_filters import save_filter
from store.tasks import add_documents, add_tasks
from store.versions import accept, rollback
from store.workspace import Workspace, create_workspace
from tests.test_console.cli_scenario import make_adapter

if TYPE_CHECKING:
    from pathlib import Path

    from sqlite_utils import Database

# Clipboard, titles, clearing, another buffer, reset, device queries; the same with C1; then single characters.
CONTROL = (
    "\x1b]52;c;aGFja2Vk\x07\x1b]0;PWNED\x07\x1b]2;PWNED\x1b\\\x1b[2J\x1b[H\x1b[?1049l\x1bc\x1b[6n\x1bP+q544e\x1b\\"
    "\x9b2J\x9d52;c;aGFja2Vk\x9c\x90q\x9c\x7f\r\x08\x08\x0e\x0b\x0c\x85\u202egnp.exe\u202c\u2066i\u2069\u200b\u200e\ufeff"
    "\U000e0041\u2028\u2029\t"
)
MARKUP = "[@click=app.quit]x[/] [TODO] x [/] [bold [red]a[/red] $primary \\[x] {0} %s :smile: <b> "
WIDE = "日本語 👩‍👩‍👧 e\u0301\u0323 Z̷̈ ｱ 🇩🇪 é "
LONG = "L" * 200


@dataclass(frozen=True)
class TextMaker:
    """Makes the texts: each begins with a word to be found by."""

    hostile: bool

    def line(self, word: str) -> str:
        """For a field of one line, which git and a shell take too."""
        return f"{word} {CONTROL}{MARKUP}{WIDE}" if self.hostile else f"{word} {'plain words ' * 12}"

    def text(self, word: str) -> str:
        """For a text of several lines."""
        return f"{self.line(word)}\n\n{word}-again\t{self.line('x')}\n{word}-end"

    def long(self, word: str) -> str:
        """For a text of any length."""
        rest = f"\x00{LONG}" if self.hostile else ""
        return f"{self.line(word)}\n{word}-long {rest}\n{word}-end"


def make_workspace(folder: Path, *, hostile: bool) -> Workspace:
    """Make one; nothing in it asks for an engine, and its names of folders are as hostile as the rest."""
    words = TextMaker(hostile)
    workspace = create_workspace(folder / "Wfolder \x1b]0;PWNED\x07" if hostile else folder / "Wfolder", "")
    settings = yaml.safe_load(default_settings_text())
    settings["model"]["path"] = words.line("Wmodel").replace("\x85", "")
    settings["console"]["keys"] = {"review.show_new": "ctrl+k"}  # others are refused
    workspace.settings_file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    db = open_database(workspace.database_file)
    try:
        _fill(workspace, db, words)
    finally:
        db.conn.close()
    _write_actions(workspace, words)
    return workspace


def _fill(workspace: Workspace, db: Database, words: TextMaker) -> None:
    task = _task(words)
    add_documents(
        db, [Document("doc", words.line("Wdocpath"), words.line("Wdoctitle"), "sha256:" + "d" * 64, utc_now())]
    )
    add_tasks(db, [task])
    before = [
        Answer(one.id, None, 0, "before", "base", words.text("Wbefore"), 0.0, correct=False) for one in task.questions
    ]
    record_base_answers(db, before)
    _published(db, words)
    base = {"name": words.line("Wbase"), "fingerprint": "sha256:" + "1" * 64}
    start_round(db, seed=0, settings={"base": base}, live_version=None, policy_version=None)
    raise_alarm(db, 1, "echo", {"odd": words.line("Walarm")})
    maker = _WorkspaceFiller(workspace, db, task, words)
    first = maker.examined(1, 0.5)
    accept(workspace, db, first.id, make_adapter(1), base, actor=words.line("Waccepter"), reason=words.line("Wbecause"))
    second = maker.examined(2, 0.4, live_version=1)
    accept(workspace, db, second.id, make_adapter(2), base, actor=words.line("Waccepter"), reason=words.text("Wagain"))
    rollback(workspace, db, 1, words.line("Wmover"), words.line("Wmoved"))
    best = maker.examined(3, 0.9, live_version=1)
    maker.examined(4, 0.8, live_version=1, derived_from=best.id, sampling={"edited_by": words.line("Weditor")})
    reject(db, maker.examined(5, 0.3).id, words.line("Wrejecter"), words.text("Wrejected"))
    defer(db, best.id, words.line("Wdeferrer"), words.line("Wdeferred"))
    assert decisions_of(db, best.id)
    maker.examined(6, -0.5, passed=False)
    failed = add_job(db, "run", {"rounds": 1, "note": words.line("Wpayload")}, words.line("Wasker"))
    start_job(db, failed.id)
    finish_job(db, failed.id, "failed", {"error": words.text("Werror"), "next_step": words.line("Wnext")})
    add_job(db, "run", {"rounds": 1, "note": words.line("Wpayload")}, words.line("Wasker"))
    save_filter(db, words.line("Wsaved"), "review", words.line("Wfilter"), words.line("Wsaver"))
    put_progress(db, [_progress(words, words.line("Wstage")), _progress(words, "inner updates")])
    interrupt_round(db, 2)
    append_event(db, words.line("Wkind"), {words.line("Wkey"): words.line("Wvalue")})


def _task(words: TextMaker) -> Task:
    splits: tuple[Split, ...] = ("reward", "audit")
    questions = [
        Question(
            f"q/{split}", "task", place, words.text("Wquestion"), [words.line("Wgold"), words.line("Walso")], "exact",
            {"note": words.line("Wgrader")}, split,
        )
        for place, split in enumerate(splits)
    ]  # fmt: skip
    return Task(
        "task", words.line("Wtitle"), words.long("Wpassage"), words.line("Wsource"), utc_now(), document_id="doc",
        questions=questions,
    )  # fmt: skip


def _published(db: Database, words: TextMaker) -> None:
    """A round that somebody published and this workspace imported."""
    run = start_round(
        db, seed=0, settings={"source": words.line("Wpublished")}, live_version=None, policy_version=None, imported=True
    )
    finish_round(db, run.number, "done", {"note": words.line("Wsummary")})


def _progress(words: TextMaker, stage: str) -> LiveProgress:
    running = {
        "candidate_id": "sha256:" + words.line("Wrunning"),
        "step": 1,
        "steps": 3,
        "losses": [2.0, 1.0],
        "seconds_left": 3.0,
    }
    now = utc_now()
    return LiveProgress(stage, 1, 3, words.line("Wunit"), words.line("Wnote"), 0.5, now, now, {"running": [running]})


@dataclass
class _WorkspaceFiller:
    workspace: Workspace
    db: Database
    task: Task
    words: TextMaker

    def examined(self, place: int, reward: float, *, passed: bool = True, **more: Any) -> Candidate:
        """Propose and examine a candidate whose every field speaks."""
        words = self.words
        fields: dict[str, Any] = {
            "id": f"sha256:{place:02x}{'c' * 62}",
            "round_number": 2,
            "task_id": self.task.id,
            "position": place,
            "role": "train",
            "edit_format": words.line("Wformat"),
            "prompt": words.text("Wprompt"),
            "completion": words.long("Wcompletion"),
            "sampling": {words.line("Wsetting"): words.line("Wsampling")},
            "seed": place,
            "state": "proposed",
            "created_at": utc_now(),
            "sequences": [words.text("Wsequence"), words.line("Wother")],
            "live_version": None,
        }
        candidate = Candidate(**{**fields, **more})
        add_candidates(self.db, [candidate])
        hashed = keep_adapter(self.workspace, make_adapter(place))
        answers = [
            Answer(one.id, candidate.id, 0, "after", hashed, words.text("Wafter"), 1.0, correct=True)
            for one in self.task.questions
        ]
        recipe = {words.line("Wrecipe"): words.line("Wvalue"), "target_modules": [words.line("Wmodule")]}
        evidence = {words.line("Wfigure"): words.line("Wevidence")}
        return record_examined(
            self.db,
            candidate.id,
            updates=[InnerUpdate(candidate.id, 0, 3, recipe, 10, 200, 0.5, [2.0, 1.0], hashed, utc_now())],
            answers=answers,
            gates=[GateResult(candidate.id, words.line("Wgate"), passed, evidence, utc_now())],
            reward_mean=reward,
            reward_std=0.0,
            audit_gain=0.25,
            adapter_hash=hashed,
        )


def _write_actions(workspace: Workspace, words: TextMaker) -> None:
    done = Trace(utc_now(), words.line("Waction"), words.line("Wdoer"), [words.text("Wcommand")], words.line("Wfailed"))
    path = workspace.cache_folder / HISTORY_NAME
    path.write_text(json.dumps(asdict(done), ensure_ascii=False) + "\nno JSON \x1b[2J\n", encoding="utf-8")
