"""A finished round is measured from the store alone, and compared with comparable rounds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.alarms import names
from engine.alarms.watch import read_measures, watch_round
from engine.settings.reading import default_settings_text
from engine.settings.sections import AlarmSettings
from store.alarms import clear_alarms, measures_of
from store.answers import record_base_answers
from store.candidates import add_candidates, record_examined
from store.database import fetch_value, open_database
from store.records import Answer, Candidate, Question, Role, Round, Task
from store.rounds import finish_round, start_round
from store.tasks import add_tasks
from store.workspace import create_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlite_utils import Database

NOW = "2026-01-01T00:00:00.000Z"
TASKS = [f"t{number}" for number in range(24)]
LONG, SHORT = "the shop opens at nine in the morning of each day but sunday", "nine"


def task(name: str) -> Task:
    questions = [
        Question(f"{name}/{split}", name, at, f"When? ({split})", [f"gold of {name}"], "exact", {}, split)  # type: ignore[arg-type]
        for at, split in enumerate(("reward", "audit"))
    ]
    return Task(name, f"Title {name}", "The shop opens at nine.", "x.md", NOW, questions=questions)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(create_workspace(tmp_path / "w", default_settings_text()).database_file)
    add_tasks(opened, [task(name) for name in TASKS])
    record_base_answers(opened, [])
    yield opened
    opened.close()


def run(
    db: Database, text: str, settings: AlarmSettings, *, epochs: int = 10, imported: bool = False
) -> tuple[Round, list[str]]:
    """Run a round whose self-edits are all of one text, and watch it."""
    recorded: dict[str, Any] = {"base": {"name": "tiny"}, "inner_update": {"epochs": epochs, "slots": 4}}
    current = start_round(db, seed=0, settings=recorded, live_version=None, policy_version=None, imported=imported)
    for at, name in enumerate(TASKS):
        _candidate(db, current.number, name, "held_out" if at % 3 == 0 else "train", f"{name} {text}")
    alarms = [] if imported else watch_round(db, current, settings)[1]
    return finish_round(db, current.number, "done", {}), [alarm.name for alarm in alarms]


def _candidate(db: Database, number: int, name: str, role: Role, text: str) -> None:
    candidate = Candidate(
        f"sha256:{number}{name}", number, name, 0, role, "implications", "p", text, {}, 0, "proposed", NOW, [text]
    )
    add_candidates(db, [candidate])
    answers = [
        Answer(f"{name}/{split}", candidate.id, 0, "after", "sha256:a", f"gold of {name}", 1.0, correct=True)
        for split in ("reward", "audit")
    ]
    record_examined(
        db, candidate.id, updates=[], answers=answers, gates=[],
        reward_mean=0.5, reward_std=0.0, audit_gain=0.25, adapter_hash="sha256:a",
    )  # fmt: skip


def test_train_and_held_out_candidates_are_measured_separately(db: Database) -> None:
    finished, _ = run(db, LONG, AlarmSettings())
    kept = measures_of(db, finished.number)
    assert kept is not None
    assert kept.measures == read_measures(db, finished.number).as_json()
    assert set(kept.measures["held_out"]) == set(TASKS[::3])
    assert set(kept.measures["audit"]) == set(TASKS) - set(TASKS[::3])
    assert set(kept.measures["length"].values()) == {14.0}


def test_a_change_since_an_earlier_round_is_noticed_with_examples(db: Database) -> None:
    assert run(db, LONG, AlarmSettings())[1] == []
    finished, raised = run(db, SHORT, AlarmSettings())
    assert raised == [names.LENGTH]
    _, (alarm,) = watch_round(db, finished, AlarmSettings())
    assert alarm.evidence["earlier_round"] == 1
    example = alarm.evidence["examples"][0]
    assert (example["task"][:5], example["expected"][:4], example["commonest"][:4]) == ("Title", "gold", "gold")


@pytest.mark.parametrize("different", [{"epochs": 3}, {"imported": True}])
def test_rounds_of_other_settings_and_imported_ones_are_not_compared(db: Database, different: dict[str, Any]) -> None:
    run(db, LONG, AlarmSettings(), **different)
    assert run(db, SHORT, AlarmSettings())[1] == []


def test_only_the_last_rounds_are_compared(db: Database) -> None:
    for text in (LONG, SHORT):
        run(db, text, AlarmSettings())
    near = AlarmSettings(rounds_back=1)
    assert run(db, SHORT, near)[1] == []
    assert run(db, SHORT, AlarmSettings(rounds_back=4))[1] == [names.LENGTH]


def test_clearing_an_alarm_makes_its_round_the_new_reference(db: Database) -> None:
    run(db, LONG, AlarmSettings())
    assert run(db, SHORT, AlarmSettings())[1] == run(db, SHORT, AlarmSettings())[1] == [names.LENGTH]
    clear_alarms(db, names.LENGTH, "Ada", "short is meant")
    assert run(db, SHORT, AlarmSettings())[1] == []
    assert run(db, LONG, AlarmSettings())[1] == [names.LENGTH]


def test_rounds_from_before_there_were_alarms_are_measured_when_they_are_needed(db: Database) -> None:
    run(db, LONG, AlarmSettings())
    trigger = fetch_value(db, "SELECT sql FROM sqlite_schema WHERE name = 'round_measures_remain'")
    for statement in ("DROP TRIGGER round_measures_remain", "DELETE FROM round_measures", trigger):
        db.execute(statement)
    assert run(db, SHORT, AlarmSettings())[1] == [names.LENGTH]
    assert measures_of(db, 1) is not None


def test_recorded_measures_are_not_measured_again(db: Database) -> None:
    finished, _ = run(db, LONG, AlarmSettings())
    db.execute("UPDATE candidates SET completion = 'other'")
    measures, _ = watch_round(db, replace(finished), AlarmSettings())
    assert measures.length[TASKS[1]] == 14.0
