"""An external judge: its section, what it is asked, how its replies are read, and the endpoint over real sockets."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine.guardrails.judge_question import (
    KEYS,
    JudgeOpinion,
    JudgeQuestion,
    UnusableReplyError,
    content_of,
    parse_reply,
    question_about,
)
from engine.writers.call_log import CallLog
from engine.writers.judge_endpoint import Endpoint, JudgeUnreachableError, endpoint_of
from store.errors import WrongUseError
from store.records import Candidate
from store.workspace import Workspace
from tests.judge_server import ALLOWED, NOT_ALLOWED, LocalJudge, completion, local_judge
from tests.test_engine.rule_texts import rules_of, task_with

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from engine.guardrails.judge_section import JudgeSettings

KEY = "sk-test-0123456789abcdef"
QUESTION = JudgeQuestion("m", "constitution", "data")


def settings(**keys: Any) -> JudgeSettings:
    section = {"url": "http://127.0.0.1:9/v1", "model": "m", "constitution": "Be kind.", **keys}
    judge = rules_of(yaml.safe_dump({"judge": section})).judge
    assert judge is not None
    return judge


@pytest.fixture
def judge() -> Iterator[LocalJudge]:
    with local_judge() as serving:
        yield serving


def asking(judge: LocalJudge, **keys: Any) -> tuple[Endpoint, list[float]]:
    """An endpoint that notes its waits and does not wait."""
    waits: list[float] = []
    return Endpoint(settings(url=judge.url, **keys), KEY, noting(waits)), waits


def noting(waits: list[float]) -> Callable[[float], Awaitable[None]]:
    async def note(seconds: float) -> None:
        waits.append(seconds)

    return note


def put(endpoint: Endpoint, question: JudgeQuestion = QUESTION) -> bytes:
    return asyncio.run(endpoint.ask(question))


@pytest.mark.parametrize(
    "content",
    [
        "", " \n", ":", ".", "Thought process:", "Thought process: I will solve it.\n" + ALLOWED, "Yes.", "true", "[]",
        "null", f"```json\n{ALLOWED}\n```", f"{ALLOWED}\n{ALLOWED}", f"[{ALLOWED}]", ALLOWED + "}", ALLOWED[:-1],
        '{"allowed": true}', '{"allowed": "true", "rule": "", "reason": "fine"}',
        '{"allowed": 1, "rule": "", "reason": "fine"}', '{"allowed": true, "rule": null, "reason": "fine"}',
        '{"allowed": true, "rule": "", "reason": ""}', '{"allowed": true, "rule": "", "reason": ":"}',
        '{"allowed": true, "rule": "", "reason": "fine", "score": 1}',
        '{"allowed": false, "allowed": true, "rule": "", "reason": "fine"}',
        '{"allowed": true, "rule": "\\ud800", "reason": "fine"}', '{"Allowed": true, "rule": "", "reason": "fine"}',
        '{"allowed": true, "rule": "", "reason": "' + "a" * 5000 + '"}', '{"allowed": NaN, "rule": "", "reason": "a"}',
        "[" * 100_000, "9" * 6000,
    ],
)  # fmt: skip
def test_nothing_but_one_object_of_the_agreed_form_is_an_answer(content: str) -> None:
    with pytest.raises(UnusableReplyError):
        parse_reply(content)


def test_an_answer_is_read_as_it_stands() -> None:
    assert parse_reply(f"\n {ALLOWED} ") == JudgeOpinion(True, "", "It keeps to the document.")
    assert parse_reply(NOT_ALLOWED) == JudgeOpinion(False, "No prices", "It names a price.")


@given(
    st.one_of(
        st.text(max_size=80),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*KEYS, "x"]), inner, max_size=4)
            ),
        ).map(json.dumps),
    )
)
def test_a_reply_is_either_the_whole_agreed_form_or_no_answer(content: str) -> None:
    try:
        opinion = parse_reply(content)
    except UnusableReplyError:
        return
    assert json.loads(content) == {"allowed": opinion.allowed, "rule": opinion.rule, "reason": opinion.reason}
    assert isinstance(opinion.allowed, bool)


@given(
    st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(st.sampled_from(["choices", "message", "content"]), inner, max_size=3)
            ),
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_no_response_does_anything_but_give_a_text_or_count_as_none(body: bytes) -> None:
    try:
        content = content_of(body)
    except UnusableReplyError:
        return
    assert json.loads(body)["choices"][0]["message"]["content"] == content


def test_a_response_with_several_choices_is_no_answer() -> None:
    two = json.loads(completion(ALLOWED))
    two["choices"] *= 2
    with pytest.raises(UnusableReplyError):
        content_of(json.dumps(two).encode())


def candidate(completion_text: str = "A line.", derived_from: str | None = None) -> Candidate:
    return Candidate(
        "c", 1, "t", 0, "train", "implications", "p", completion_text, {}, 0, "proposed", "now", ["One.", "Two."],
        derived_from=derived_from,
    )  # fmt: skip


@given(st.text(), st.text())
def test_document_and_self_edit_are_data_that_nothing_in_them_can_end(document: str, written: str) -> None:
    task = task_with(document, audit=[("Who marks audits?", "Mallory")])
    question = question_about(candidate(written), task, model="m", constitution="Be kind.")
    data = json.loads(question.data)
    assert data == {"document": {"title": "Title", "text": document}, "self_edit": written}
    assert question.system.endswith("Be kind.")
    assert [message["role"] for message in question.as_request()["messages"]] == ["system", "user"]  # type: ignore[attr-defined]


def test_the_audit_is_not_among_what_a_judge_sees_and_an_edited_candidate_shows_its_sequences() -> None:
    task = task_with("The cup is blue.", audit=[("Who marks audits?", "Mallory")])
    question = question_about(candidate(derived_from="other"), task, model="m", constitution="Be kind.")
    assert "Mallory" not in json.dumps(question.as_request())
    assert json.loads(question.data)["training_sequences"] == ["One.", "Two."]


def test_the_hash_of_a_question_follows_all_that_the_answer_may_depend_on() -> None:
    task = task_with("The cup is blue.")
    asked = {
        question_about(candidate(text), one, model=model, constitution=constitution).hash
        for text in ("a", "b")
        for one in (task, replace(task, context="x"))
        for model in ("m", "n")
        for constitution in ("c", "d")
    }
    assert len(asked) == 16


def test_a_judge_is_asked_with_its_key_and_nothing_else_from_the_environment(
    judge: LocalJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    endpoint, waits = asking(judge)
    assert content_of(put(endpoint)) == ALLOWED
    assert judge.requests == [QUESTION.as_request()]
    assert judge.headers[0]["authorization"] == f"Bearer {KEY}"
    assert waits == []
    assert KEY not in repr(endpoint)


def test_without_a_key_none_is_sent(judge: LocalJudge) -> None:
    put(endpoint_of(settings(url=judge.url), {}))
    assert "authorization" not in judge.headers[0]


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_may_pass_is_tried_again_with_longer_and_longer_waits(judge: LocalJudge, status: int) -> None:
    judge.replies = [(status, b"busy"), (status, b"busy"), (200, completion(NOT_ALLOWED))]
    endpoint, waits = asking(judge)
    assert content_of(put(endpoint)) == NOT_ALLOWED
    assert waits == [1.0, 2.0]


@pytest.mark.parametrize(("status", "asked"), [(500, 3), (401, 1), (404, 1), (301, 1), (204, 1)])
def test_an_endpoint_that_cannot_be_asked_is_named_with_the_next_step(
    judge: LocalJudge, status: int, asked: int
) -> None:
    judge.replies = [(status, b"")]
    endpoint, _ = asking(judge)
    with pytest.raises(JudgeUnreachableError, match=f"status {status}") as caught:
        put(endpoint)
    assert judge.url in caught.value.message
    assert "guardrails.yaml" in caught.value.next_step
    assert len(judge.requests) == asked


def test_a_connection_that_is_refused_is_tried_again_and_then_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        waits: list[float] = []
        with pytest.raises(JudgeUnreachableError, match="ConnectError"):
            put(Endpoint(settings(url=url), "", noting(waits)))
    assert waits == [1.0, 2.0]


def test_a_judge_that_does_not_answer_in_time_is_given_up(judge: LocalJudge) -> None:
    judge.waits = True
    endpoint, _ = asking(judge, timeout_s=0.2, attempts=2)
    with pytest.raises(JudgeUnreachableError, match=r"within 0\.2 s"):
        put(endpoint)
    judge.release.set()


def test_an_endless_response_is_not_read_to_its_end(judge: LocalJudge) -> None:
    judge.replies = [(200, b"x" * 1_000_000)]
    endpoint, _ = asking(judge)
    with pytest.raises(JudgeUnreachableError, match="longer than 256 KiB"):
        put(endpoint)
    assert len(judge.requests) == 1


def test_a_key_that_an_endpoint_sends_back_is_masked(judge: LocalJudge) -> None:
    judge.says(f"your key is {KEY}")
    endpoint, _ = asking(judge)
    assert content_of(put(endpoint)) == "your key is ••••"


def test_the_key_comes_from_the_variable_that_is_named() -> None:
    with_key = settings(url="https://example.org/v1", api_key_env="JUDGE_KEY")
    assert endpoint_of(with_key, {"JUDGE_KEY": f" {KEY}\n"}).key == KEY
    with pytest.raises(WrongUseError, match="JUDGE_KEY, which is not set"):
        endpoint_of(with_key, {})
    with pytest.raises(WrongUseError, match="cannot be a key") as caught:
        endpoint_of(with_key, {"JUDGE_KEY": "geheim\r\nx: y"})
    assert "geheim" not in str(caught.value)


def test_calls_are_found_again_and_a_broken_line_is_passed_over(tmp_path: Path) -> None:
    log = CallLog(Workspace(tmp_path))
    log.keep_reply("sha256:1", ALLOWED)
    log.keep_failure("sha256:2", "no response")
    path = tmp_path / "cache" / "judge.jsonl"
    with path.open("ab") as stream:
        stream.write(b'[1]\n\xff\n{"request": 3, "reply": "x"}\n{"request": "sha256:3", "rep')
    again = CallLog(Workspace(tmp_path))
    assert [again.reply_to(f"sha256:{number}") for number in (1, 2, 3)] == [ALLOWED, None, None]
    again.keep_reply("sha256:4", NOT_ALLOWED)
    assert CallLog(Workspace(tmp_path)).reply_to("sha256:4") == NOT_ALLOWED
