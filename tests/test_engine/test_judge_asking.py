"""A judge that is asked several questions at once: the same outcomes as one by one, and nothing left where it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.writers.call_log import CallLog
from engine.writers.chat_endpoint import ChatEndpoint, read_completion
from engine.writers.openai_compatible import OpenAICompatibleWriter
from engine.writers.writer import UnreachableError, UnusableReplyError, Writing, WritingRequest
from store.workspace import Workspace
from tests.judge_server import LocalJudge, completion, local_judge

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.generation.sampling import Sampling

Kind = Literal["answers", "no answer", "cannot be reached"]
KINDS: tuple[Kind, ...] = ("answers", "no answer", "cannot be reached")


@dataclass
class ScriptedEndpoint:
    """An endpoint without a network: what each question comes to and how many turns of the loop that takes."""

    kinds: dict[str, Kind]
    turns: dict[str, int]
    asked: list[str] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    asked_too_late: list[str] = field(default_factory=list)
    failed: bool = False

    url: str = "http://nowhere"
    model: str = "m"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def complete(self, request: WritingRequest, _sampling: Sampling | None) -> Writing:
        name = request.prompt
        self.asked.append(name)
        self.asked_too_late += [name] if self.failed else []
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        for _ in range(self.turns[name]):
            await asyncio.sleep(0)
        self.in_flight -= 1
        if self.kinds[name] == "cannot be reached":
            self.failed = True
            raise UnreachableError(f"no way to {name}")
        return read_completion(completion(name) if self.kinds[name] == "answers" else b"{}")


@dataclass
class AskingResult:
    """What asking came to: outcomes in words, the lines of the log, and the failures that were told."""

    outcomes: list[str]
    log: list[dict[str, Any]]
    told: list[str]
    judge: ScriptedEndpoint


def question(data: str) -> WritingRequest:
    return WritingRequest(data, "Be kind.")


def in_words(writing: Writing) -> str:
    if isinstance(writing.failure, UnreachableError):
        return f"unreachable: {writing.failure.message}"
    return f"no answer: {writing.failure}" if isinstance(writing.failure, UnusableReplyError) else writing.text


def hear(wanted: Sequence[str], kinds: dict[str, Kind], turns: dict[str, int], at_once: int) -> AskingResult:
    judge, told = ScriptedEndpoint(kinds, turns), []
    with tempfile.TemporaryDirectory() as folder:
        log = CallLog(Workspace(Path(folder)))
        writer = OpenAICompatibleWriter(
            judge, log, at_once=at_once, on_unreachable=lambda error: told.append(error.message)
        )
        outcomes = [in_words(one) for one in writer.write([question(data) for data in wanted])]
        path = Path(folder) / "cache" / "judge.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return AskingResult(outcomes, [json.loads(line) for line in lines], told, judge)


def hash_of(data: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        writer = OpenAICompatibleWriter(ScriptedEndpoint({}, {}), CallLog(Workspace(Path(folder))))
        return writer.request_hash(question(data))


@st.composite
def scripts(draw: st.DrawFn, kinds: tuple[Kind, ...]) -> tuple[list[str], dict[str, Kind], dict[str, int]]:
    """Questions, some of them twice, what each comes to, and how long that takes."""
    wanted = draw(st.lists(st.sampled_from("abcdefgh"), max_size=10))
    return (
        wanted,
        {data: draw(st.sampled_from(kinds)) for data in sorted(set(wanted))},
        {data: draw(st.integers(0, 6)) for data in sorted(set(wanted))},
    )


@given(scripts(("answers", "no answer")), st.integers(1, 5))
def test_several_at_once_come_to_the_same_as_one_by_one(
    script: tuple[list[str], dict[str, Kind], dict[str, int]], at_once: int
) -> None:
    one_by_one, together = (hear(*script, wide) for wide in (1, at_once))
    assert together.outcomes == one_by_one.outcomes
    assert together.judge.asked == one_by_one.judge.asked == list(dict.fromkeys(script[0]))
    assert together.judge.most_in_flight <= at_once
    without_time = [sorted(str({**line, "at": ""}) for line in heard.log) for heard in (one_by_one, together)]
    assert without_time[0] == without_time[1]
    assert len(together.log) == len(set(script[0]))


@given(scripts(KINDS), st.integers(1, 5))
def test_once_a_judge_cannot_be_reached_nothing_more_is_put_to_it_and_no_answer_is_lost(
    script: tuple[list[str], dict[str, Kind], dict[str, int]], at_once: int
) -> None:
    wanted, kinds, _ = script
    heard = hear(*script, at_once)
    asked = heard.judge.asked
    failed = [data for data in asked if kinds[data] == "cannot be reached"]
    assert sorted(line["request"] for line in heard.log) == sorted(hash_of(data) for data in asked)
    assert heard.told == heard.told[:1]
    assert bool(heard.told) == bool(failed)
    assert asked == list(dict.fromkeys(wanted))[: len(asked)]
    assert heard.judge.asked_too_late == []
    for data, outcome in zip(wanted, heard.outcomes, strict=True):
        if data in asked and kinds[data] != "cannot be reached":
            assert outcome.startswith(data if kinds[data] == "answers" else "no answer")
        else:
            assert outcome == (f"unreachable: no way to {data}" if data in asked else f"unreachable: {heard.told[0]}")


def test_what_is_in_the_log_already_is_not_asked_again(tmp_path: Path) -> None:
    log = CallLog(Workspace(tmp_path))
    log.keep_reply(hash_of("a"), "known")
    judge = ScriptedEndpoint({"b": "answers"}, {"b": 0})
    writer = OpenAICompatibleWriter(judge, log, at_once=2)
    texts = [one.text for one in writer.write([question("a"), question("b"), question("a")])]
    assert texts == ["known", "b", "known"]
    assert judge.asked == ["b"]


@contextmanager
def asking_locally(folder: Path, at_once: int) -> Iterator[tuple[LocalJudge, OpenAICompatibleWriter]]:
    with local_judge() as judge:
        endpoint = ChatEndpoint(judge.url, "m", timeout_s=60)
        yield judge, OpenAICompatibleWriter(endpoint, CallLog(Workspace(folder)), at_once=at_once)


def test_so_many_are_in_flight_over_real_sockets_as_the_setting_says(tmp_path: Path) -> None:
    with asking_locally(tmp_path, at_once=3) as (judge, writer):
        judge.together = threading.Barrier(3)
        judge.answer = lambda request: request["messages"][1]["content"]
        wanted = [f"question {number}" for number in range(9)]
        assert [one.text for one in writer.write([question(data) for data in wanted])] == wanted
    assert len(judge.requests) == 9


def wait_for(judge: LocalJudge, requests: int) -> None:
    deadline = time.monotonic() + 60
    while len(judge.requests) < requests:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl+C raises here; it may be ignored where tests run by themselves."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_ends_the_requests_in_flight_at_once(tmp_path: Path) -> None:
    with asking_locally(tmp_path, at_once=2) as (judge, writer):
        judge.waits = True

        def interrupt_when_asked() -> None:
            wait_for(judge, 2)
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt_when_asked)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            list(writer.write([question(data) for data in "abcd"]))
        thread.join()
        assert not judge.release.is_set()
        assert len(judge.requests) == 2
    assert not (tmp_path / "cache" / "judge.jsonl").exists()


def test_who_stops_listening_ends_the_requests_in_flight(tmp_path: Path) -> None:
    with asking_locally(tmp_path, at_once=2) as (judge, writer):
        judge.answer = lambda request: (judge.requests.index(request) and judge.release.wait(60)) or "first"
        with closing(writer.write([question(data) for data in "abcd"])) as writings:
            assert next(writings).text == "first"
        assert not judge.release.is_set()
    kept = (tmp_path / "cache" / "judge.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["reply"] for line in kept] == ["first"]
