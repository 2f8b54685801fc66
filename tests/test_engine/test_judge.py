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

from engine.gates.judge_question import KEYS, JudgeOpinion, judge_request, parse_reply
from engine.writers.call_log import CallLog
from engine.writers.chat_endpoint import ChatEndpoint, read_completion, read_key
from engine.writers.openai_compatible import OpenAICompatibleWriter
from engine.writers.writer import UnreachableError, UnusableReplyError, Writing, WritingRequest
from store.errors import WrongUseError
from store.records import Candidate
from store.workspace import Workspace
from tests.judge_server import ALLOWED, NOT_ALLOWED, LocalJudge, completion, local_judge
from tests.test_engine.guardrail_texts import rules_of, task_with

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.guardrails.judge_section import JudgeSettings

KEY = "sk-test-0123456789abcdef"
REQUEST = WritingRequest("data", "constitution")


def settings(**keys: Any) -> JudgeSettings:
    section = {"url": "http://127.0.0.1:9/v1", "model": "m", "constitution": "Be kind.", **keys}
    judge = rules_of(yaml.safe_dump({"judge": section})).judge
    assert judge is not None
    return judge


@pytest.fixture
def judge() -> Iterator[LocalJudge]:
    with local_judge() as serving:
        yield serving


def ask(url: str, key: str = KEY, **options: Any) -> Writing:
    async def complete() -> Writing:
        async with ChatEndpoint(url, "m", key, **options) as endpoint:
            return await endpoint.complete(REQUEST, None)

    return asyncio.run(complete())


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


def test_an_answer_is_read_raw() -> None:
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
        content = read_completion(body).text
    except UnusableReplyError:
        return
    assert json.loads(body)["choices"][0]["message"]["content"] == content


def test_a_response_with_several_choices_is_no_answer() -> None:
    two = json.loads(completion(ALLOWED))
    two["choices"] *= 2
    with pytest.raises(UnusableReplyError):
        read_completion(json.dumps(two).encode())


def candidate(completion_text: str = "A line.", derived_from: str | None = None) -> Candidate:
    return Candidate(
        "c", 1, "t", 0, "train", "implications", "p", completion_text, {}, 0, "proposed", "now", ["One.", "Two."],
        derived_from=derived_from,
    )  # fmt: skip


@given(st.text(), st.text())
def test_document_and_self_edit_are_data_that_nothing_in_them_can_end(document: str, written: str) -> None:
    task = task_with(document, audit=[("Who marks audits?", "Mallory")])
    request = judge_request(candidate(written), task, "Be kind.")
    data = json.loads(request.prompt)
    assert data == {"document": {"title": "Title", "text": document}, "self_edit": written}
    assert request.instructions.endswith("Be kind.")


def test_the_audit_is_not_among_what_a_judge_sees_and_an_edited_candidate_shows_its_sequences() -> None:
    task = task_with("The cup is blue.", audit=[("Who marks audits?", "Mallory")])
    request = judge_request(candidate(derived_from="other"), task, "Be kind.")
    assert "Mallory" not in request.prompt + request.instructions
    assert json.loads(request.prompt)["training_sequences"] == ["One.", "Two."]


def test_the_hash_of_a_request_depends_on_everything_the_answer_may_depend_on(tmp_path: Path) -> None:
    task = task_with("The cup is blue.")
    log = CallLog(Workspace(tmp_path))
    hashes = {
        OpenAICompatibleWriter(ChatEndpoint("http://x", model), log).request_hash(
            judge_request(candidate(text), one, constitution)
        )
        for text in ("a", "b")
        for one in (task, replace(task, context="x"))
        for model in ("m", "n")
        for constitution in ("c", "d")
    }
    assert len(hashes) == 16


def test_a_judge_is_asked_with_its_key_and_nothing_else_from_the_environment(
    judge: LocalJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY", "OPENAI_BASE_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "from-the-environment")
    assert ask(judge.url).text == ALLOWED
    messages = [{"role": "system", "content": "constitution"}, {"role": "user", "content": "data"}]
    assert judge.requests == [{"model": "m", "messages": messages}]
    assert judge.headers[0]["authorization"] == f"Bearer {KEY}"
    assert "from-the-environment" not in str(judge.headers)
    assert KEY not in repr(ChatEndpoint(judge.url, "m", KEY))


def test_without_a_key_none_is_sent(judge: LocalJudge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    ask(judge.url, key="")
    assert "authorization" not in judge.headers[0]


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_failures_that_may_pass_are_retried(judge: LocalJudge, status: int) -> None:
    judge.replies = [(status, b"busy"), (200, completion(NOT_ALLOWED))]
    assert ask(judge.url).text == NOT_ALLOWED
    assert len(judge.requests) == 2


@pytest.mark.parametrize(("status", "asked"), [(500, 2), (401, 1), (404, 1), (301, 1), (204, 1)])
def test_an_endpoint_that_cannot_be_used_is_named_with_the_next_step(
    judge: LocalJudge, status: int, asked: int
) -> None:
    judge.replies = [(status, b"")]
    with pytest.raises(UnreachableError, match=f"status {status}") as caught:
        ask(judge.url, attempts=2)
    assert judge.url in caught.value.message
    assert "url, model and key" in caught.value.next_step
    assert len(judge.requests) == asked


def test_a_refused_connection_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with pytest.raises(UnreachableError, match="ConnectError"):
            ask(url, key="", attempts=1)


def test_a_judge_that_does_not_answer_in_time_is_given_up(judge: LocalJudge) -> None:
    judge.waits = True
    with pytest.raises(UnreachableError, match=r"within 0\.2 s"):
        ask(judge.url, timeout_s=0.2, attempts=1)
    judge.release.set()


def test_an_endless_response_is_not_read_to_its_end(judge: LocalJudge) -> None:
    judge.replies = [(200, b"x" * 1_000_000)]
    with pytest.raises(UnreachableError, match="longer than 256 KiB"):
        ask(judge.url)
    assert len(judge.requests) == 1


def test_a_key_that_an_endpoint_sends_back_is_masked(judge: LocalJudge) -> None:
    judge.says(f"your key is {KEY}")
    assert ask(judge.url).text == "your key is ••••"


def test_usage_is_read_if_the_endpoint_reports_it(judge: LocalJudge) -> None:
    body = {**json.loads(completion("Yes.")), "usage": {"prompt_tokens": 7, "completion_tokens": 2}}
    judge.replies = [(200, json.dumps(body).encode())]
    assert ask(judge.url) == Writing("Yes.", 7, 2)


def test_the_key_comes_from_the_variable_that_is_named() -> None:
    assert read_key("JUDGE_KEY", {"JUDGE_KEY": f" {KEY}\n"}) == KEY
    assert read_key("", {"OPENAI_API_KEY": KEY}) == ""
    with pytest.raises(WrongUseError, match="JUDGE_KEY, which is not set"):
        read_key("JUDGE_KEY", {})
    with pytest.raises(WrongUseError, match="valid API key") as caught:
        read_key("JUDGE_KEY", {"JUDGE_KEY": "geheim\r\nx: y"})
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
