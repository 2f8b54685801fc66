"""Red-team prompts: their keys, when a behaviour holds, and the gate's verdict on an update."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine.gates.evidence import PromptBehaviour
from engine.gates.names import red_team_gate
from engine.gates.red_team import behaviour_of, red_team_gates
from engine.guardrails.reading import parse_guardrails
from engine.guardrails.red_team import (
    DEFAULT_REFUSALS,
    MUSTS,
    RedTeamPrompt,
    grade_behaviour,
)
from engine.input_files.text_files import TextFile
from seal_console.render_gate import render_gate
from store.audit_redaction import without_exam
from tests.test_engine.guardrail_texts import problems_of, rules_of

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
def test_other_answers_are_not_refusals(answer: str) -> None:
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


def test_forbidden_texts_are_found_as_whole_words_or_by_pattern() -> None:
    judged = prompt("not_say", texts=["Projekt Süd"], patterns=[r"\d{4}"])
    assert holds(judged, "")
    assert holds(judged, "Projekte im Süden, 123")
    assert not holds(judged, "das projekt sud")
    assert not holds(judged, "the code is 1234")


def test_an_answer_that_cannot_be_searched_in_time_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_long(*_: object) -> bool:
        raise TimeoutError

    monkeypatch.setattr("engine.guardrails.red_team.matches_pattern", too_long)
    assert not holds(prompt("not_say", texts="x", patterns="y"), "")
    assert not holds(prompt("refuse"), "I cannot")


Judged = tuple[RedTeamPrompt, PromptBehaviour]


def behaviour(verdict: str, *, before: bool, after: bool, group: str = "", name: str = "one") -> Judged:
    keys = {"group": group} if group else {}
    one = prompt(verdict=verdict, name=name, **keys)
    return one, behaviour_of(one, ("was", "is"), (before, after))


BEHAVIOURS = st.lists(
    st.builds(
        lambda verdict, before, after, group: behaviour(verdict, before=before, after=after, group=group),
        st.sampled_from(["deny", "review", "note"]),
        st.booleans(),
        st.booleans(),
        st.sampled_from(["", "a", "b"]),
    ),
    max_size=6,
)
ON_FAILURE: dict[str, OnFailure | None] = {"deny": None, "review": "hold", "note": "note"}


@given(BEHAVIOURS)
def test_a_gate_passes_only_if_every_behaviour_holds_and_the_gravest_failure_decides(
    behaviours: list[Judged],
) -> None:
    gates = {gate.gate: gate for gate in red_team_gates("c", behaviours, "now")}
    assert set(gates) == {red_team_gate(one.group) for one, _ in behaviours}
    for name, gate in gates.items():
        of_group = [found for one, found in behaviours if red_team_gate(one.group) == name]
        failed = [found.verdict for found in of_group if not found.passes]
        assert gate.passed == (not failed)
        assert gate.stops == ("deny" in failed)
        assert gate.needs_review == ("review" in failed and "deny" not in failed)
        assert len(gate.evidence["prompts"]) == len(of_group)


@given(BEHAVIOURS)
def test_the_evidence_separates_new_failures_from_old_ones(behaviours: list[Judged]) -> None:
    for gate in red_team_gates("c", behaviours, "now"):
        of_group = [found for one, found in behaviours if red_team_gate(one.group) == gate.gate]
        became = [one["became"] for one in gate.evidence["prompts"]]
        assert gate.evidence["newly_failing"] == became.count("newly fails")
        assert gate.evidence["still_failing"] == became.count("still fails")
        for one, change in zip(of_group, became, strict=True):
            assert (change in {"newly fails", "still fails"}) == (not one.passes)
            assert (change in {"newly fails", "still passes"}) == one.passed_before
        assert render_gate(gate.gate, gate.evidence)[0].count("newly fail") == int("newly fails" in became)
        assert without_exam(gate.evidence) == gate.evidence


@given(BEHAVIOURS, BEHAVIOURS)
def test_a_behaviour_that_holds_never_makes_up_for_one_that_does_not(failing: list[Judged], more: list[Judged]) -> None:
    stopped = {gate.gate for gate in red_team_gates("c", failing, "now") if not gate.passed}
    assert stopped <= {gate.gate for gate in red_team_gates("c", [*failing, *more], "now") if not gate.passed}


def test_a_verdict_in_words_names_prompt_and_answers() -> None:
    (gate,) = red_team_gates("c", [behaviour("review", before=True, after=False, group="keys")], "now")
    assert gate.gate == "red team:keys"
    first, line = render_gate(gate.gate, gate.evidence)
    assert first == "1 prompt, 1 passed before, 0 pass now, 1 newly fails"
    assert line == "✗ one (review): newly fails. Why?  refuses; “was” → “is”"
    (gate,) = red_team_gates("c", [behaviour("deny", before=False, after=False)], "now")
    assert "still fails" in render_gate(gate.gate, gate.evidence)[1]


def test_evidence_of_older_releases_is_read_under_its_former_names() -> None:
    prompt_then = {"name": "one", "prompt": "Why?", "must": "refuse", "wanted": "refuses", "verdict": "deny"}
    answers = {"before": "was", "after": "is", "became": "never held"}
    counts = {"held_before": 0, "hold": 0, "broken": 0, "never_held": 1}
    figures, line = render_gate("red team", {"prompts": [{**prompt_then, **answers}], **counts})
    assert figures == "1 prompt, 0 passed before, 0 pass now, 1 still fails"
    assert line == "✗ one (deny): still fails. Why?  refuses; “was” → “is”"


A_PROMPT = "red_team:\n  prompts:\n  - "


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("red_team: 3", "1: red_team: must have keys such as refusals and prompts (is 3)"),
        ("red_team: {prompts: []}", "1: red_team.prompts: is empty"),
        (
            "red_team:\n  promts: []\n  prompts: [{name: a, question: b, must: refuse}]",
            "2: red_team.promts: unknown key; did you mean 'prompts'?",
        ),
        (A_PROMPT + "3", "3: red_team: prompt 1: must have keys such as"),
        (A_PROMPT + "{question: b, must: refuse}", "3: red_team: prompt 1: name: missing"),
        (A_PROMPT + "{name: a, must: refuse}", "3: red_team: prompt 1: has neither question nor prompt"),
        (A_PROMPT + "{name: a, question: b}", "3: red_team: prompt 1: must: missing"),
        (
            A_PROMPT + "{name: a, question: b, must: refuze}",
            "3: red_team: prompt 1: must: must be refuse, answer or not_say",
        ),
        (A_PROMPT + "{name: a, question: b, must: answer}", "3: red_team: prompt 1: answers: missing"),
        (A_PROMPT + "{name: a, question: b, must: not_say}", "3: red_team: prompt 1: has neither texts nor"),
        (A_PROMPT + "{name: a, question: b, must: refuse, answers: c}", "3: red_team: prompt 1: answers: unknown key"),
        (
            A_PROMPT + "{name: a, question: b, must: refuse, patterns: '('}",
            "3: red_team: prompt 1: patterns: '(' is not",
        ),
        (
            A_PROMPT + "{name: a, question: b, must: not_say, texts: '!'}",
            "3: red_team: prompt 1: texts: '!' contains no",
        ),
        (
            A_PROMPT + "{name: a, question: b, must: answer, answers: c, grader: exakt}",
            "3: red_team: prompt 1: grader: unknown grader 'exakt'; did you mean 'exact'?",
        ),
        (A_PROMPT + "{name: a, question: b, must: refuse, verdict: no}", "3: red_team: prompt 1: verdict: "),
        (
            A_PROMPT + "{name: a, question: b, must: refuse}\n  - {name: A, question: c, must: refuse}",
            "4: red_team: prompt 2: name: 'A' is already the name at guardrails.yaml:3",
        ),
    ],
)
def test_each_problem_has_its_line(text: str, said: str) -> None:
    (problem,) = problems_of(text)
    assert problem.startswith(f"guardrails.yaml:{said}")


def test_the_hash_of_guardrails_depends_on_prompts_and_not_on_their_places() -> None:
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
def test_any_data_is_read_or_refused_with_problems(section: object, answer: str) -> None:
    text = yaml.safe_dump({"red_team": section}, allow_unicode=True)
    guardrails, problems = parse_guardrails(TextFile("guardrails.yaml", text, "sha256:0"))
    assert all(problem.startswith("guardrails.yaml") for problem in problems)
    if not problems:
        for one in guardrails.red_team:
            assert grade_behaviour(one, answer).score in {0.0, 1.0} or one.grader == "token-f1"
            assert one.says()
