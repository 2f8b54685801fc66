"""guardrails.yaml: what it may contain, the place of every problem, and hostile texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine.guardrails.kinds import RULE_KINDS, default_guardrails_text
from engine.guardrails.reading import (
    ROUND_KEY,
    Guardrails,
    as_recorded,
    parse_guardrails,
    read_guardrails,
    rules_of_round,
)
from engine.input_files.text_files import TextFile
from store.errors import WrongUseError
from store.records import Round
from store.workspace import Workspace
from tests.test_engine.guardrail_texts import problems_of, rule, rules_of

if TYPE_CHECKING:
    from pathlib import Path

SMALLEST: dict[str, dict[str, Any]] = {
    "pattern": {"patterns": ["x"]},
    "topics": {"words": ["x"]},
    "size": {"max_lines": 3},
    "language": {"scripts": ["Latin"]},
}


@pytest.mark.parametrize("kind", RULE_KINDS)
def test_every_kind_has_a_default_verdict_and_says_what_it_does(kind: str) -> None:
    made = rule(kind, **SMALLEST.get(kind, {}))
    assert made.verdict == RULE_KINDS[kind].verdict
    assert made.place == "guardrails.yaml:2"
    assert made.check.says().strip()
    assert made.options.keys()
    assert rule(kind, verdict="note", **SMALLEST.get(kind, {})).verdict == "note"


def test_a_leak_is_only_noted_unless_a_rule_says_otherwise() -> None:
    assert {kind: RULE_KINDS[kind].verdict for kind in ("leak", "secrets", "instructions")} == {
        "leak": "note",
        "secrets": "deny",
        "instructions": "review",
    }


def test_the_file_of_a_new_workspace_is_valid_and_its_rules_have_different_names() -> None:
    rules = rules_of(default_guardrails_text()).rules
    assert {one.verdict for one in rules} == {"deny", "review", "note"}
    assert len({one.name for one in rules}) == len(rules) >= 5
    active = "\n".join(line.removeprefix("  # ") for line in default_guardrails_text().splitlines() if "  # -" in line)
    assert active


A_RULE = "rules:\n- rule: a\n  kind: "


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- 1", ":1: must have keys such as rules and red_team (is a list)"),
        ("rules: 3", ":1: rules: must be a list (is 3)"),
        ("rulez: []", ":1: rulez: unknown key; did you mean 'rules'?"),
        ("rules: [3]", ":1: rule 1: must have keys such as rule and kind (is 3)"),
        ("rules:\n- kind: secrets", ":2: rule 1: rule: missing"),
        ("rules:\n- rule: a", ":2: rule 1: kind: missing"),
        (
            A_RULE + "secret",
            ":3: rule 1: kind: unknown kind 'secret'; did you mean 'secrets'?",
        ),
        (
            A_RULE + "secrets\n  verdict: refuse",
            ":4: rule 1: verdict: must be deny, review or note (is 'refuse')",
        ),
        (
            A_RULE + "secrets\n  aplies_to: both",
            ":4: rule 1: aplies_to: unknown key; did you mean",
        ),
        (
            A_RULE + "size\n  applies_to: both\n  max_lines: 1",
            ":4: rule 1: applies_to: unknown key",
        ),
        (A_RULE + "size", ":2: rule 1: has no limit; set one of min_characters"),
        (
            A_RULE + "size\n  max_lines: -1",
            ":4: rule 1: max_lines: must be at least 0 (is -1)",
        ),
        (
            A_RULE + "size\n  min_lines: 3\n  max_lines: 2",
            ":4: rule 1: min_lines: is above max_lines",
        ),
        (A_RULE + "pattern", ":2: rule 1: patterns: missing"),
        (A_RULE + "pattern\n  patterns: []", ":4: rule 1: patterns: is empty"),
        (
            A_RULE + "pattern\n  patterns:\n  - x\n  - '('",
            ":6: rule 1: pattern 2: '(' is not a regular expression",
        ),
        (
            A_RULE + "pattern\n  patterns: x*",
            ":4: rule 1: patterns: the pattern 'x*' matches an empty text",
        ),
        (
            A_RULE + "pattern\n  patterns: 'a{99999999}'",
            ":4: rule 1: patterns: the pattern 'a{99999999}' repeats too often",
        ),
        (
            A_RULE + "pattern\n  patterns: '(((a{99}){99}){99})'",
            ":4: rule 1: patterns: the pattern '(((a{99}){99}){99})' repeats",
        ),
        (
            A_RULE + "topics\n  words: ['—']",
            ":4: rule 1: word 1: '—' contains no word",
        ),
        (A_RULE + "language", ":2: rule 1: has neither languages nor scripts"),
        (
            A_RULE + "language\n  scripts: Latein",
            ":4: rule 1: scripts: unknown script 'Latein'",
        ),
        (
            A_RULE + "language\n  languages: [xx]",
            ":4: rule 1: languages: unknown language 'xx'",
        ),
        (
            A_RULE + "leak\n  max_share: 2",
            ":4: rule 1: max_share: must be at most 1 (is 2)",
        ),
        (
            A_RULE + "personal-data\n  find: mail",
            ":4: rule 1: find: must be email, phone, iban, payment-card or ip (is 'mail')",
        ),
        (
            A_RULE + "personal-data\n  phone_region: Germany",
            ":4: rule 1: phone_region: must be a",
        ),
        (
            A_RULE + "secrets\n  hex_entropy: yes",
            ":4: rule 1: hex_entropy: must be a number (is true)",
        ),
        ("rules:\n- rule: ''\n  kind: secrets", ":2: rule 1: rule: is empty"),
        ("rules:\n- rule: 'a\n\n  b'\n  kind: secrets", ":2: rule 1: rule: must be one line"),
        ("rules: [", ":1: expected the node content"),
    ],
)
def test_each_problem_has_its_line(text: str, said: str) -> None:
    (problem,) = problems_of(text)
    assert problem.startswith(f"guardrails.yaml{said}")


def test_all_problems_are_reported_together_and_the_next_step_is_named(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    text = "rules:\n- rule: a\n  kind: secret\n- rule: A\n  kind: leak\n  wrods: 3\nred_teem: []\n"
    workspace.guardrails_file.write_text(text, encoding="utf-8")
    with pytest.raises(WrongUseError, match="4 problems") as caught:
        read_guardrails(workspace)
    lines = [problem.split(": ")[0] for problem in caught.value.problems]
    assert lines == [f"guardrails.yaml:{line}" for line in (3, 4, 6, 7)]
    assert "already the name at guardrails.yaml:2" in caught.value.problems[1]
    assert "seal-console guardrails check" in caught.value.next_step


def test_a_wrong_value_hides_no_other_problem_of_any_section(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.guardrails_file.write_text(
        """\
judge:
  url: http://example.org/v1
  model: ""
  api_key_env: KEY
  constitution: {file: nowhere.md}
red_team:
  prompts:
    - name: a
      must: answer
      answers: [x]
      grader: regex
    - {name: b, question: q, must: answer, answers: [], grader: exakt}
    - {name: c, question: q, must: not_say, verdict: hm}
rules:
  - {rule: size, kind: size, min_lines: 3, max_lines: 2, max_characters: x}
""",
        encoding="utf-8",
    )
    with pytest.raises(WrongUseError) as caught:
        read_guardrails(workspace)
    beginnings = (
        "2: judge.url: must begin with https://",
        "3: judge.model: is empty",
        "5: judge.constitution.file: nowhere.md: does not exist",
        "8: red_team: prompt 1: has neither question nor prompt",
        "8: red_team: prompt 1: grader_options: pattern is missing",
        "12: red_team: prompt 2: answers: is empty",
        "12: red_team: prompt 2: grader: unknown grader 'exakt'",
        "13: red_team: prompt 3: verdict: must be",
        "13: red_team: prompt 3: has neither texts nor patterns",
        "15: rule 1: max_characters: must be a whole number",
        "15: rule 1: min_lines: is above max_lines",
    )
    assert len(caught.value.problems) == len(beginnings)
    for problem, beginning in zip(caught.value.problems, beginnings, strict=True):
        assert problem.startswith(f"guardrails.yaml:{beginning}"), problem


@pytest.mark.parametrize("content", [b"\xff", None])
def test_an_unreadable_file_is_an_error_and_a_missing_file_has_no_rules(tmp_path: Path, content: bytes | None) -> None:
    workspace = Workspace(tmp_path)
    assert read_guardrails(workspace) == Guardrails()
    if content is None:
        workspace.guardrails_file.mkdir()
    else:
        workspace.guardrails_file.write_bytes(content)
    with pytest.raises(WrongUseError, match=r"1 problem in guardrails\.yaml"):
        read_guardrails(workspace)


def test_rules_never_go_missing_silently(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.guardrails_file.symlink_to(tmp_path / "nowhere")
    with pytest.raises(WrongUseError, match=r"guardrails\.yaml"):
        read_guardrails(workspace)
    workspace.guardrails_file.unlink()
    (tmp_path / "guardrails.yml").write_text("rules: []")
    with pytest.raises(WrongUseError) as caught:
        read_guardrails(workspace)
    assert caught.value.problems == ["guardrails.yml: rules are read from guardrails.yaml; rename it"]


def test_the_hash_depends_on_what_the_rules_say_and_not_on_how_they_are_written() -> None:
    text = "rules:\n- {rule: a, kind: size, max_lines: 3}\n"
    same = "# A comment.\n\nrules:\n- rule: a\n  max_lines: 3\n  kind: size\n  verdict: deny\n"
    assert rules_of(text).hash == rules_of(same).hash != Guardrails().hash
    for other in (
        text.replace("3", "4"),
        text.replace("rule: a", "rule: b"),
        text.replace("kind", "verdict: review, kind"),
    ):
        assert rules_of(other).hash != rules_of(text).hash


def test_a_resumed_round_uses_the_rules_it_began_with() -> None:
    began_with, now = rules_of("rules:\n- {rule: a, kind: size, max_lines: 3}\n"), rules_of("rules: []")
    settings = {ROUND_KEY: as_recorded(began_with)}
    current = Round(1, "interrupted", 0, settings, "now", None, None)
    kept = rules_of_round(current, now)
    assert kept.hash == began_with.hash == settings[ROUND_KEY]["hash"]
    assert rules_of_round(Round(1, "interrupted", 0, {}, "now", None, None), began_with) == began_with


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.sampled_from([*RULE_KINDS, "deny", "both", "email", "(", "a{9}", "[[", "en", "Latin", "(?P<x>y)", r"\p{Nope}"]),
)  # fmt: skip
KEYS = st.one_of(
    st.sampled_from(
        ["rule", "kind", "verdict", "applies_to", *{key for one in RULE_KINDS.values() for key in one.options}]
    ),
    st.text(max_size=5),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8
)
RULES = st.lists(
    st.one_of(
        VALUES,
        st.builds(
            lambda kind, options: {"rule": "a", "kind": kind, **options},
            st.sampled_from([*RULE_KINDS]),
            st.dictionaries(KEYS, VALUES, max_size=5),
        ),
    ),
    max_size=3,
)


@given(st.one_of(VALUES, st.fixed_dictionaries({"rules": RULES})))
def test_any_data_is_read_or_refused_with_problems(data: object) -> None:
    text = yaml.safe_dump(data, allow_unicode=True)
    guardrails, problems = parse_guardrails(TextFile("guardrails.yaml", text, "sha256:0"))
    assert all(problem.startswith("guardrails.yaml") for problem in problems)
    if not problems:
        assert rules_of(guardrails.text).hash == guardrails.hash


@given(st.text(alphabet=st.sampled_from("rules:-kind \n[]{}'\"&*!|>%@`,?#abc013\t\x00\ufeffé"), max_size=60))
def test_any_text_is_read_or_refused_with_problems(text: str) -> None:
    _, problems = parse_guardrails(TextFile("guardrails.yaml", text, "sha256:0"))
    assert all(problem.startswith("guardrails.yaml") for problem in problems)


@given(st.text(max_size=40))
def test_any_pattern_is_read_or_refused_with_problems(pattern: str) -> None:
    text = yaml.safe_dump({"rules": [{"rule": "a", "kind": "pattern", "patterns": [pattern]}]}, allow_unicode=True)
    assert all(problem.startswith("guardrails.yaml") for problem in problems_of(text))
