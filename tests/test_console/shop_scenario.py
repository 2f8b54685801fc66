"""A workspace that is the same whenever and wherever it is made, with something of everything in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

from engine.settings.reading import default_settings_text
from store.candidates import defer, reject
from store.database import open_database
from store.hashing import hash_text
from store.jobs import add_job
from store.live_progress import put_progress
from store.policy_versions import add_policy_version
from store.records import LiveProgress, Question, Split, Task
from store.rounds import finish_round, start_round
from store.tasks import add_tasks
from store.versions import rollback
from store.workspace import Workspace, create_workspace
from tests.test_console.cli_scenario import BASE, CandidateMaker, make_adapter, round_summary
from tests.test_console.version_scenario import accepted

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from sqlite_utils import Database

BEGINNING = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
TODAY = BEGINNING + timedelta(hours=3)
ACTOR = "ada"
_TASKS = {
    "Returns and refunds": (
        "Since 1 March, goods can be returned within 30 days. The refund goes to the card that was charged.",
        (("How long can goods be returned?", "30 days"), ("Where does the refund go?", "the card that was charged")),
    ),
    "Shipping to 東京 and Zürich": (
        "Parcels to 東京 take nine days, parcels to Zürich take three. 東京へは九日かかります。",
        (("How long does a parcel to 東京 take?", "nine days"), ("How long does one to Zürich take?", "three days")),
    ),
    "Warranty of the espresso machines that were sold in the spring campaign of 2026": (
        "The machines of the spring campaign carry a warranty of five years; descaling is not covered.",
        (("How many years is the warranty?", "five"), ("Is descaling covered?", "no")),
    ),
}
_UPDATES = [
    {"candidate_id": f"sha256:{place:02x}{'ab' * 31}", "repeat": 0, "slot": place, "step": 5 * place, "steps": 20,
     "losses": [3.0, 2.4, 1.5, 1.1, 0.7][: 2 + place]}
    for place in (1, 2, 3)
]  # fmt: skip


def let_time_pass(patch: pytest.MonkeyPatch) -> None:
    """From now on every look at the clock is a second later than the last one, and nothing is drawn at random.

    Migrations do not look at the clock.

    However many migrations there are, what is made after them has the times of the kept pictures.
    """
    seconds = count(3)
    for module in ("versions", "policy_versions"):
        patch.setattr(f"store.{module}.new_token", lambda: "0" * 32)
    patch.setattr("store.migrations.utc_now", lambda: f"{BEGINNING:%Y-%m-%dT%H:%M:%S}.000Z")

    class TickingClock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            del tz
            return BEGINNING + timedelta(seconds=next(seconds))

    patch.setattr("store.clock.datetime", TickingClock)


def stop_time(patch: pytest.MonkeyPatch) -> None:
    """From now on it is noon of the day on which the workspace was made."""

    class FrozenClock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            del tz
            return TODAY

    patch.setattr("store.clock.datetime", FrozenClock)


def make_shop(root: Path) -> Workspace:
    """Make it: a finished round with four versions and a policy, and a second round that runs. Let time pass first."""
    workspace = create_workspace(root, default_settings_text())
    db = open_database(workspace.database_file)
    try:
        returns, shipping, warranty = (_task(title) for title in _TASKS)
        maker = CandidateMaker.begin(workspace, returns)
        maker.db.conn.close()
        add_tasks(db, [shipping, warranty])
        maker = CandidateMaker(workspace, db, returns)
        _finished_round(maker, held_out=warranty)
        _running_round(maker, shipping)
        _engine_at_work(db)
    finally:
        db.conn.close()
    return workspace


def _task(title: str) -> Task:
    passage, asked = _TASKS[title]
    task_id = hash_text(title)
    splits: tuple[Split, Split] = ("reward", "audit")
    questions = [
        Question(f"{task_id}/{split}", task_id, place, text, [answer], "exact", {}, split)
        for place, ((text, answer), split) in enumerate(zip(asked, splits, strict=True))
    ]
    return Task(task_id, title, passage, f"{title[:8].strip().lower()}.md", f"{BEGINNING:%Y-%m-%dT%H:%M:%S}.000Z",
                questions=questions)  # fmt: skip


def _finished_round(maker: CandidateMaker, held_out: Task) -> None:
    chosen = {"train": [maker.task.id], "held_out": [held_out.id]}
    settings = {"base": BASE, "round": {"held_out_edits": 2}, "chosen_tasks": chosen}
    first = start_round(maker.db, seed=7, settings=settings, live_version=None, policy_version=None)
    accepted(maker, 0.5, reason="says the new period", completion="Goods can be returned within 30 days.")
    kept = accepted(maker, 0.6, reason="names the card", completion="The refund goes to the card that was charged.")
    rollback(maker.workspace, maker.db, 1, ACTOR, "v0002 mixed up cards and vouchers")
    accepted(maker, 0.7, reason="both facts", completion="30 days; the refund goes to the card.")
    accepted(maker, 0.8, reason="and when it began", completion="Since 1 March: 30 days.")
    maker.examined(-0.5, passed=False, completion="Goods cannot be returned.")
    reject(maker.db, maker.examined(0.1, completion="Vouchers only.").id, "bob", "there are no vouchers")
    policy = add_policy_version(
        maker.workspace, maker.db, make_adapter(99), parent_number=None, round_number=first.number,
        metrics={"held_out_before": 0.5, "held_out_after": 0.75}, base=BASE,
    )  # fmt: skip
    finish_round(maker.db, first.number, "done", round_summary([kept.candidate_id], 0.5, 0.75), policy.number)


def _running_round(maker: CandidateMaker, shipping: Task) -> None:
    settings = {"base": BASE, "chosen_tasks": {"train": [maker.task.id, shipping.id], "held_out": []}}
    start_round(maker.db, seed=8, settings=settings, live_version=4, policy_version=1)
    long = "The machines of the spring campaign carry a warranty of five years.\n" * 6
    maker.examined(0.9, completion="Goods can be returned within 30 days since 1 March.\nThe card gets the refund.")
    wait = maker.examined(0.4, completion=long, sequences=[f"Returns\n{long}", "Returns\nNow 30 days."])
    defer(maker.db, wait.id, ACTOR, "ask the shop first")
    maker.examined(-0.25, passed=False, completion="It takes \x1b[31m14 days\x1b[0m [bold]only[/bold].")
    there = replace(maker, task=shipping)
    there.examined(0.75, completion="東京へは九日、Zürich へは三日かかります。")
    there.examined(0.0, completion="Parcels take a while.")
    there.examined(0.3, derived_from=f"sha256:{maker.made:02x}{'c' * 62}", sampling={"edited_by": ACTOR},
                   completion="Parcels to Zürich take three days.")  # fmt: skip


def _engine_at_work(db: Database) -> None:
    at = f"{TODAY:%Y-%m-%dT%H:%M:%S}.000Z"
    put_progress(
        db,
        [
            LiveProgress("propose", 12, 12, "self-edits", "", 3.5, at, at, {}),
            LiveProgress("inner updates", 6, 12, "inner updates", "", 0.1, at, at, {"running": _UPDATES}),
        ],
    )
    add_job(db, "run", {"rounds": 1}, "bob")
