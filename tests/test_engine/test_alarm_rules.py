"""The rules that raise alarms: each on figures made for it, and properties for any figures."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.alarms import names
from engine.alarms.measures import Measures
from engine.alarms.rules import RULES, AlarmEvidence, raise_alarms
from engine.settings.sections import AlarmSettings
from seal_console.render_alarm import MEANINGS, render_alarm

TASKS = [f"t{number}" for number in range(24)]
HELD_OUT = [f"h{number}" for number in range(20)]
DEFAULT = AlarmSettings()
SWITCH = {
    names.ONE_ANSWER: "one_answer",
    names.AGREE: "accuracy_fall",
    names.ALIKE: "alike",
    names.ECHO: "echo",
    names.LENGTH: "length_factor",
    names.REWARD: "audit_fall",
}
QUIET = Measures(
    1,
    "c",
    distinct=0.4,
    commonest="oslo",
    one_answer=0.05,
    one_expected=0.05,
    questions=120,
    likeness=dict.fromkeys(TASKS, 0.2),
    echo=dict.fromkeys(TASKS, 0.1),
    length=dict.fromkeys(TASKS, 20.0),
    agreement=dict.fromkeys(TASKS, 0.5),
    audit=dict.fromkeys(TASKS, 0.6),
    held_out=dict.fromkeys(HELD_OUT, 0.6),
    reward=dict.fromkeys(TASKS, 0.2),
    audit_gain=dict.fromkeys(TASKS, 0.3),
)
ALARMING: dict[str, dict[str, Any]] = {
    names.ONE_ANSWER: {"one_answer": 0.6},
    names.AGREE: {"agreement": dict.fromkeys(TASKS, 0.9), "held_out": dict.fromkeys(HELD_OUT, 0.3)},
    names.ALIKE: {"likeness": dict.fromkeys(TASKS, 0.97)},
    names.ECHO: {"echo": dict.fromkeys(TASKS, 0.9)},
    names.LENGTH: {"length": dict.fromkeys(TASKS, 6.0)},
    names.REWARD: {"reward": dict.fromkeys(TASKS, 0.6), "audit_gain": dict.fromkeys(TASKS, 0.1)},
}
VALUES = st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0])
BY_TASK = st.dictionaries(st.sampled_from(TASKS), VALUES, max_size=8)
MEASURES = st.builds(
    Measures, st.just(2), st.just("c"), VALUES, st.just("x"), VALUES, VALUES, st.integers(0, 40),
    BY_TASK, BY_TASK, st.dictionaries(st.sampled_from(TASKS), st.floats(0, 200), max_size=8), *[BY_TASK] * 5,
)  # fmt: skip


def found(now: Measures, earlier: list[Measures], settings: AlarmSettings = DEFAULT) -> list[AlarmEvidence]:
    return raise_alarms(now, dict.fromkeys(RULES, earlier), settings)


@pytest.mark.parametrize("name", ALARMING)
def test_each_alarm_is_raised_by_its_own_figures_and_by_no_others(name: str) -> None:
    now = replace(QUIET, round_number=2, **ALARMING[name])
    assert found(replace(QUIET, round_number=2), [QUIET]) == []
    (alarm,) = found(now, [QUIET])
    assert alarm.name == name
    assert alarm.tasks
    assert found(now, [QUIET], DEFAULT.model_copy(update={SWITCH[name]: None})) == []


@pytest.mark.parametrize("name", ALARMING)
def test_a_round_of_two_tasks_raises_nothing(name: str) -> None:
    few: dict[str, Any] = {
        key: dict(list(value.items())[:2])
        for key, value in {**QUIET.as_json(), **ALARMING[name]}.items()
        if isinstance(value, dict)
    }
    quiet: dict[str, Any] = {key: dict(list(getattr(QUIET, key).items())[:2]) for key in few}
    first = replace(QUIET, questions=2, **quiet)
    now = replace(first, round_number=2, **({"one_answer": 1.0} if name == names.ONE_ANSWER else few))
    assert found(now, [first]) == []


@pytest.mark.parametrize(
    ("name", "just_allowed"),
    [
        (names.AGREE, AlarmSettings(accuracy_fall=0.31)),
        (names.ALIKE, AlarmSettings(alike=0.98)),
        (names.ECHO, AlarmSettings(echo=0.95)),
        (names.LENGTH, AlarmSettings(length_factor=3.5)),
        (names.REWARD, AlarmSettings(audit_fall=0.25)),
        (names.ONE_ANSWER, AlarmSettings(one_answer=0.55)),
        (names.AGREE, AlarmSettings(significance=1e-9)),
    ],
)
def test_thresholds_decide(name: str, just_allowed: AlarmSettings) -> None:
    assert found(replace(QUIET, round_number=2, **ALARMING[name]), [QUIET], just_allowed) == []


@pytest.mark.parametrize("name", [names.AGREE, names.LENGTH, names.REWARD])
def test_what_is_compared_needs_an_earlier_round_and_the_evidence_names_it(name: str) -> None:
    now = replace(QUIET, round_number=7, **ALARMING[name])
    assert found(now, []) == []
    (alarm,) = found(now, [replace(now, round_number=4), replace(QUIET, round_number=5)])
    assert alarm.evidence["earlier_round"] == 5


def test_agreement_that_rises_with_accuracy_raises_no_alarm() -> None:
    better = replace(QUIET, round_number=2, agreement=dict.fromkeys(TASKS, 0.9), held_out=dict.fromkeys(HELD_OUT, 0.9))
    assert found(better, [QUIET]) == []
    worse_alone = replace(QUIET, round_number=2, held_out=dict.fromkeys(HELD_OUT, 0.1))
    assert found(worse_alone, [QUIET]) == []


def test_other_lengths_raise_no_alarm_if_held_out_accuracy_rose_by_more_than_chance() -> None:
    shorter = replace(QUIET, round_number=2, **ALARMING[names.LENGTH])
    for held_out, alarms in (
        (dict.fromkeys(HELD_OUT, 0.9), []),
        (dict.fromkeys(HELD_OUT, 0.3), [names.LENGTH]),
        ({}, [names.LENGTH]),
        ({**QUIET.held_out, "h0": 1.0}, [names.LENGTH]),  # one task of twenty: chance
    ):
        assert [one.name for one in found(replace(shorter, held_out=held_out), [QUIET])] == alarms
    worst = replace(QUIET, round_number=0, held_out=dict.fromkeys(HELD_OUT, 0.1))
    (alarm,) = found(shorter, [worst, QUIET])
    assert alarm.evidence["earlier_round"] == QUIET.round_number


def test_many_earlier_rounds_need_more_certainty() -> None:
    few: dict[str, Any] = {key: dict(list(value.items())[:8]) for key, value in ALARMING[names.REWARD].items()}
    now = replace(QUIET, round_number=9, **few)
    short = [
        replace(QUIET, reward=dict(list(QUIET.reward.items())[:8]), audit_gain=dict(list(QUIET.audit_gain.items())[:8]))
    ]
    assert [one.name for one in found(now, short)] == [names.REWARD]
    assert found(now, short * 5) == []


@given(MEASURES, st.lists(MEASURES, max_size=3))
def test_any_figures_make_alarms_with_evidence_that_is_json_and_can_be_rendered(
    now: Measures, earlier: list[Measures]
) -> None:
    for alarm in found(now, earlier):
        evidence = json.loads(json.dumps({**alarm.evidence, "examples": []}, allow_nan=False))
        lines = render_alarm(alarm.name, evidence)
        assert lines
        assert not lines[0].startswith("{")
        assert MEANINGS[alarm.name]


@given(MEASURES, st.lists(MEASURES, max_size=3))
def test_switched_off_alarms_are_never_raised(now: Measures, earlier: list[Measures]) -> None:
    off: dict[str, Any] = dict.fromkeys(SWITCH.values())
    assert found(now, earlier, AlarmSettings(**off)) == []


@given(MEASURES)
def test_a_round_that_is_like_the_one_before_raises_nothing_that_compares(now: Measures) -> None:
    assert not {one.name for one in found(now, [now])} & {names.AGREE, names.LENGTH, names.REWARD}


def test_evidence_of_an_unknown_form_is_rendered_as_json() -> None:
    assert render_alarm(names.ECHO, {"odd": 1}) == ['{"odd": 1}']
    assert render_alarm("unknown", {"examples": []}) == ['{"examples": []}']
