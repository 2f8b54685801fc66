"""The section `judge` of guardrails.yaml: its keys, and where a constitution may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine.guardrails.judge_section import JudgeInput
from engine.guardrails.reading import ROUND_KEY, as_recorded, parse_guardrails, read_guardrails, rules_of_round
from engine.input_files.text_files import TextFile
from store.errors import WrongUseError
from store.records import Round
from store.workspace import Workspace
from tests.test_engine.guardrail_texts import problems_of, rules_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"url": "ftp://x/v1"}, "url: must be an address such as"),
        ({"url": "https:///v1"}, "url: must be an address such as"),
        ({"url": "http://[x/v1"}, "url: must be an address such as"),
        ({"url": "https://x:99999/v1"}, "url: must be an address such as"),
        ({"url": "https://u:geheim@x/v1"}, "url: must not contain a name or password"),
        ({"url": "https://x/v1?key=geheim"}, "url: must end with its path"),
        ({"url": "http://example.org/v1", "api_key_env": "K"}, "url: must begin with https://"),
        ({"api_key_env": "sk-geheim"}, "api_key_env: must be the name of an environment variable"),
        ({"model": " "}, "model: is empty"),
        ({"timeout_s": 0}, "timeout_s: must be above 0 (is 0)"),
        ({"attempts": 0}, "attempts: must be at least 1"),
        ({"attempts": 11}, "attempts: must be at most 10"),
        ({"constitution": " "}, "the constitution is empty"),
        ({"constitution": {"flie": "x"}}, "judge.constitution.flie: unknown key; did you mean 'file'?"),
        ({"constitution": ["x"]}, "constitution: must be text (is a list)"),
        ({"verdict": "accept"}, "verdict: must be deny, review or note (is 'accept')"),
        ({"asks": "all"}, "asks: must be every or kept"),
        ({"when_unreachable": "pass"}, "when_unreachable: must be review or stop"),
        ({"api_key": "geheim"}, "api_key: unknown key; did you mean 'api_key_env'?"),
    ],
)
def test_problems_of_the_judge_are_named_and_no_key_is_repeated(keys: dict[str, Any], said: str) -> None:
    section = {"url": "https://x/v1", "model": "m", "constitution": "Be kind.", **keys}
    problems = problems_of(yaml.safe_dump({"judge": section}))
    assert said in problems[-1]
    assert "geheim" not in "".join(problems)


def test_missing_keys_of_the_judge_are_named() -> None:
    assert problems_of("judge: {verdict: review}") == [
        f"guardrails.yaml:1: judge.{key}: missing" for key in ("url", "model", "constitution")
    ]
    assert problems_of("judge: 3") == ["guardrails.yaml:1: judge: must have keys such as url and model (is 3)"]


def test_hold_is_still_read_as_the_former_name_of_review() -> None:
    section = {"url": "https://x/v1", "model": "m", "constitution": "Be kind."}
    former, now = (
        rules_of(yaml.safe_dump({"judge": {**section, "verdict": word, "when_unreachable": word}}))
        for word in ("hold", "review")
    )
    assert former.judge == now.judge
    assert now.judge is not None
    assert (now.judge.verdict, now.judge.when_unreachable) == ("review", "review")
    assert former.hash == now.hash


def constitution_at(tmp_path: Path, name: str) -> str:
    workspace = Workspace(tmp_path / "w")
    section = {"url": "https://x/v1", "model": "m", "constitution": {"file": name}}
    workspace.guardrails_file.write_text(yaml.safe_dump({"judge": section}), encoding="utf-8")
    judge = read_guardrails(workspace).judge
    assert judge is not None
    return judge.constitution


def test_a_constitution_is_read_from_a_file_of_the_workspace_only_and_kept_with_the_round(tmp_path: Path) -> None:
    root = tmp_path / "w"
    (root / "tasks").mkdir(parents=True)
    for place in (root / "law.md", root / "tasks" / "law.md", tmp_path / "law.md"):
        place.write_text("Be kind.\n", encoding="utf-8")
    (root / "link.md").symlink_to(root / "tasks" / "law.md")
    (root / "blank.md").write_text("\n", encoding="utf-8")
    assert constitution_at(tmp_path, "law.md") == "Be kind.\n"
    for name in ("tasks/law.md", "link.md", "../law.md", str(tmp_path / "law.md"), "none.md", "blank.md", "a\0b", "."):
        with pytest.raises(WrongUseError, match="1 problem in"):
            constitution_at(tmp_path, name)
    assert constitution_at(tmp_path, "law.md")
    began_with = read_guardrails(Workspace(root))
    (root / "law.md").write_text("Be quick.", encoding="utf-8")
    now = read_guardrails(Workspace(root))
    kept = rules_of_round(Round(1, "interrupted", 0, {ROUND_KEY: as_recorded(began_with)}, "now", None, None), now)
    assert kept == began_with
    assert kept.hash != now.hash


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12),
    st.sampled_from(["https://x/v1", "http://[", "hold", "review", "every", "stop", "KEY"]),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
SECTIONS = st.one_of(
    VALUES,
    st.fixed_dictionaries({}, optional=dict.fromkeys([*JudgeInput.model_fields, "x"], VALUES)),
)


@given(SECTIONS)
def test_any_data_is_read_or_refused_with_problems(section: object) -> None:
    text = yaml.safe_dump({"judge": section}, allow_unicode=True)
    guardrails, problems = parse_guardrails(TextFile("guardrails.yaml", text, "sha256:0"))
    assert all(problem.startswith("guardrails.yaml") for problem in problems)
    if not problems and guardrails.judge is not None:
        assert guardrails.judge.url
        assert guardrails.judge.timeout_s > 0
