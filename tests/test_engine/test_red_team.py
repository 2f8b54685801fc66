"""Red-team prompts: how they are written, when a behaviour holds, and what the gate says of an update."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine.guardrails.red_team import (
    DEFAULT_REFUSALS,
    MUSTS,
    Behaviour,
    RedTeamPrompt,
    grade_behaviour,
    red_team_gates,
)
from engine.guardrails.rule_files import parse_guardrails
from engine.input_files.text_files import TextFile
from seal_console.render_gate import render_gate
from store.audit_redaction import without_exam
from tests.test_engine.rule_texts import problems_of, rules_of

if TYPE_CHECKING:
    from store.records import OnFailure

SMALLEST: dict[str, dict[str, Any]] = {
    "refuse": {},
    "answer": {"answers": "Oslo"},
    "not_say": {"texts": "secret"},
}


def prompt(must: str = "refuse", **keys: Any) -> RedTeamPrompt:
    entry = {"name": "one", "question": "Why?", "must": must, **SMALLEST[must], **keys}
    (found,) = rules_of(yaml.safe_dump({"red_team": {"prompts": [entry]}})).red_team
    return found


def holds(judged: RedTeamPrompt, answer: str) -> bool:
    return grade_behaviour(judged, answer).correct


@pytest.mark.parametrize(
    "answer",
    ["I'm sorry, no.", "I’m sorry, no.", "I cannot say.", "i can't tell you", "Sorry, but I am unable to do so",
     "We are not able to help with it", "I won't"],
)  # fmt: skip
def test_usual_refusals_are_known(answer: str) -> None:
    assert holds(prompt(), answer)


@pytest.mark.parametrize("answer", ["", "  ", "Sure: open the door.", "icannot", "It is red, I think."])
def test_what_is_no_refusal_does_not_pass_for_one(answer: str) -> None:
    assert not holds(prompt(), answer)


def test_refusals_can_be_set_for_all_prompts_and_for_one() -> None:
    text = """\
red_team:
  refusals: ['\\bNein\\b']
  prompts:
  - {name: a, question: x, must: refuse}
  - {name: b, question: x, must: refuse, patterns: ['\\bNon\\b']}
"""
    for_all, own = rules_of(text).red_team
    assert (holds(for_all, "nein danke"), holds(for_all, "I cannot")) == (True, False)
    assert (holds(own, "Non merci"), holds(own, "Nein")) == (True, False)
    assert prompt().patterns == DEFAULT_REFUSALS


def test_a_protected_answer_is_graded_as_questions_are() -> None:
    assert holds(prompt("answer"), "oslo.")
    assert not holds(prompt("answer"), "Bergen")
    assert not holds(prompt("answer"), "")
    number = prompt("answer", answers="5", grader="number", grader_options={"abs_tolerance": 0.5})
    assert holds(number, "5.2")
    assert not holds(number, "6")


def test_what_must_not_be_said_is_found_as_whole_words_or_by_pattern() -> None:
    judged = prompt("not_say", texts=["Projekt Süd"], patterns=[r"\d{4}"])
    assert holds(judged, "")
    assert holds(judged, "Projekte im Süden, 123")
    assert not holds(judged, "das projekt sud")
    assert not holds(judged, "the code is 1234")


def test_what_cannot_be_searched_in_time_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_long(*_: object) -> bool:
        raise TimeoutError

    monkeypatch.setattr("engine.guardrails.red_team.is_in", too_long)
    assert not holds(prompt("not_say", texts="x", patterns="y"), "")
    assert not holds(prompt("refuse"), "I cannot")


def behaviour(verdict: str, *, before: bool, after: bool, group: str = "", name: str = "one") -> Behaviour:
    keys = {"group": group} if group else {}
    return Behaviour(prompt(verdict=verdict, name=name, **keys), "was", "is", before, after)


BEHAVIOURS = st.lists(
    st.builds(
        lambda verdict, before, after, group: behaviour(verdict, before=before, after=after, group=group),
        st.sampled_from(["deny", "hold", "note"]),
        st.booleans(),
        st.booleans(),
        st.sampled_from(["", "a", "b"]),
    ),
    max_size=6,
)
ON_FAILURE: dict[str, OnFailure | None] = {"deny": None, "hold": "hold", "note": "note"}


@given(BEHAVIOURS)
def test_a_gate_passes_only_where_every_behaviour_holds_and_does_what_the_gravest_failure_says(
    behaviours: list[Behaviour],
) -> None:
    gates = {gate.gate: gate for gate in red_team_gates("c", behaviours, "now")}
    assert set(gates) == {one.prompt.gate for one in behaviours}
    for name, gate in gates.items():
        of_group = [one for one in behaviours if one.prompt.gate == name]
        failed = [one.prompt.verdict for one in of_group if not one.holds]
        assert gate.passed == (not failed)
        assert gate.stops == ("deny" in failed)
        assert gate.needs_review == ("hold" in failed and "deny" not in failed)
        assert len(gate.evidence["prompts"]) == len(of_group)


@given(BEHAVIOURS)
def test_the_evidence_tells_what_the_edit_broke_from_what_never_held(behaviours: list[Behaviour]) -> None:
    for gate in red_team_gates("c", behaviours, "now"):
        of_group = [one for one in behaviours if one.prompt.gate == gate.gate]
        became = [one["became"] for one in gate.evidence["prompts"]]
        assert gate.evidence["broken"] == became.count("broken")
        assert gate.evidence["never_held"] == became.count("never held")
        for one, said in zip(of_group, became, strict=True):
            assert (said in {"broken", "never held"}) == (not one.holds)
            assert (said in {"broken", "kept"}) == one.held_before
        assert render_gate(gate.gate, gate.evidence)[0].count("broken by this edit") == int("broken" in became)
        assert without_exam(gate.evidence) == gate.evidence


@given(BEHAVIOURS, BEHAVIOURS)
def test_no_behaviour_that_holds_pays_for_one_that_does_not(failing: list[Behaviour], more: list[Behaviour]) -> None:
    stopped = {gate.gate for gate in red_team_gates("c", failing, "now") if not gate.passed}
    assert stopped <= {gate.gate for gate in red_team_gates("c", [*failing, *more], "now") if not gate.passed}


def test_a_verdict_in_words_names_prompt_and_answers() -> None:
    (gate,) = red_team_gates("c", [behaviour("hold", before=True, after=False, group="keys")], "now")
    assert gate.gate == "red team:keys"
    first, line = render_gate(gate.gate, gate.evidence)
    assert first == "1 prompt, 1 passed before, 0 pass now, 1 broken by this edit"
    assert line == "✗ one (hold): broken by this edit. Why?  refuses; “was” → “is”"
    (gate,) = red_team_gates("c", [behaviour("deny", before=False, after=False)], "now")
    assert "failed before, too" in render_gate(gate.gate, gate.evidence)[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("red_team: 3", ":1: red_team must have the key prompts (is a number)"),
        ("red_team: {prompts: []}", ":1: prompts must be a list with at least one prompt"),
        ("red_team:\n  promts: []\n  prompts: [{name: a, question: b, must: refuse}]", ":2: unknown key"),
        ("red_team:\n  prompts:\n  - 3", ":3: a prompt must have the keys"),
        ("red_team:\n  prompts:\n  - {question: b, must: refuse}", ":3: name missing"),
        ("red_team:\n  prompts:\n  - {name: a, must: refuse}", ":3: has neither question nor prompt"),
        ("red_team:\n  prompts:\n  - {name: a, question: b}", ":3: must missing; known are refuse, answer"),
        ("red_team:\n  prompts:\n  - {name: a, question: b, must: refuze}", ":3: must: unknown"),
        ("red_team:\n  prompts:\n  - {name: a, question: b, must: answer}", ":3: answers missing"),
        ("red_team:\n  prompts:\n  - {name: a, question: b, must: not_say}", ":3: has neither texts nor"),
        ("red_team:\n  prompts:\n  - {name: a, question: b, must: refuse, answers: c}", ":3: unknown key"),
        ("red_team:\n  prompts:\n  - {name: a, question: b, must: refuse, patterns: '('}", ":3: '(' is no"),
        ("red_team:\n  prompts:\n  - {name: a, question: b, must: not_say, texts: '!'}", ":3: '!' holds no"),
        (
            "red_team:\n  prompts:\n  - {name: a, question: b, must: answer, answers: c, grader: exakt}",
            ":3: unknown grader 'exakt'; did you mean 'exact'?",
        ),
        ("red_team:\n  prompts:\n  - {name: a, question: b, must: refuse, verdict: no}", ":3: verdict: "),
        (
            "red_team:\n  prompts:\n  - {name: a, question: b, must: refuse}\n  - {name: A, question: c, must: refuse}",
            "4: the prompt is named 'A', as that of guardrails.yaml:3 is",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(text: str, said: str) -> None:
    (problem,) = problems_of(text)
    assert problem.startswith(f"guardrails.yaml{said}")


def test_the_hash_of_a_policy_follows_its_prompts_and_not_their_places() -> None:
    text = "red_team:\n  prompts:\n  - {name: a, question: b, must: refuse}\n"
    assert rules_of(text).hash == rules_of(f"# A comment.\n{text}").hash
    assert (
        rules_of(text).hash != rules_of(text.replace("question: b", "question: c")).hash != rules_of("rules: []").hash
    )


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12),
    st.sampled_from([*MUSTS, "deny", "exact", "number", "(", "x*", "!", "a"]),
)  # fmt: skip
KEYS = st.one_of(
    st.sampled_from(
        ["name", "question", "prompt", "must", "verdict", "group", "patterns", "texts", "answers", "grader",
         "grader_options", "refusals", "prompts"]
    ),
    st.text(max_size=4),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=8
)
PROMPTS = st.lists(
    st.one_of(
        VALUES,
        st.builds(
            lambda must, keys: {"name": "a", "question": "b", "must": must, **keys},
            st.sampled_from(MUSTS),
            st.dictionaries(KEYS, VALUES, max_size=4),
        ),
    ),
    max_size=3,
)


@given(
    st.one_of(VALUES, st.fixed_dictionaries({"prompts": PROMPTS}, optional={"refusals": VALUES})), st.text(max_size=20)
)
def test_no_data_makes_the_reader_do_anything_but_name_problems(section: object, answer: str) -> None:
    text = yaml.safe_dump({"red_team": section}, allow_unicode=True)
    policy, problems = parse_guardrails(TextFile("guardrails.yaml", text, "sha256:0"))
    assert all(problem.startswith("guardrails.yaml") for problem in problems)
    if not problems:
        for one in policy.rules.red_team:
            assert grade_behaviour(one, answer).score in {0.0, 1.0} or one.grader == "token-f1"
            assert one.says()
