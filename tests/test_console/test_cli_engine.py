"""The commands that start the engine, with an engine that does as it is told."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from seal_console.cli.demo import fresh_folder
from seal_console.engine_process import EngineInterruptedError, Result, run_operation
from store.clock import local_time, next_occurrence, now_s
from store.errors import LockedError, SealError, WrongUseError
from tests.test_console.cli_scenario import CandidateMaker, CliCaller, fake_worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from store.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0

RUN = """
say(progress={"stage": "round", "done": 0, "total": 0, "unit": "", "note": "Round 1\\x1b[2J begins."})
for done in range(1, 4):
    say(progress={"stage": "inner updates", "done": done, "total": 3, "unit": "updates", "note": ""})
print("a library speaks \\x9b31m")
print("a warning \\x1b]0;x\\x07", file=sys.stderr)
held_out = {"before": {"accuracy": 0.25}, "after": {"accuracy": 0.5}}
say(result={"rounds": [{"number": 1, "candidates": 3, "refused": 1, "kept": ["x"], "mean_reward": 0.125,
    "new_policy_version": 1, "held_out": held_out}], "all_refused": False, "asked": parameters})
"""


def eventually(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_run_shows_what_the_engine_says(workspace: Workspace, call: CliCaller, tmp_path: Path) -> None:
    call.worker_command = fake_worker(tmp_path, RUN)
    called = call("run", "--rounds", "2")
    assert called.code == 0
    assert "Round 1␛[2J begins." in called.err
    assert "inner updates: 3/3 updates" in called.err
    assert "a warning ␛]0;x␇" in called.err
    assert "a library speaks ⟨U+009B⟩31m" in called.err
    assert all(word in called.out for word in ("p0001", "25.0 %", "50.0 %", "+0.125"))
    assert workspace.settings_file.is_file()


TIME_UP = """
said = "Time was up at 06:00: round 3 is interrupted with 2 of 8 self-edits evaluated. seal-console run resumes it."
say(result={"rounds": [], "all_refused": False, "alarming": False, "asked": parameters, "time_up":
    {"until": "2026-01-02T05:00:00.000Z", "round": 3, "evaluated": 2, "candidates": 8, "said": said}})
"""


@pytest.mark.usefixtures("workspace")
def test_a_run_whose_time_was_up_says_so_and_exits_7(call: CliCaller, tmp_path: Path) -> None:
    call.worker_command = fake_worker(tmp_path, TIME_UP)
    before = now_s()
    called = call("run", "--max-minutes", "0.5")
    assert (called.code, called.out) == (7, "")
    assert "round 3 is interrupted with 2 of 8 self-edits evaluated. seal-console run resumes it." in called.err
    assert "seal-console review list" in called.err
    result, error = call("run", "--until", "6:00", "--json").objects
    assert before < result["asked"]["until"] <= now_s() + 25 * 3600
    assert result["time_up"]["evaluated"] == 2
    assert error["error"]["kind"] == "TimeUpError"
    assert "until" not in call("run", "--json").objects[0]["asked"]


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--until", "24:00"), "'24:00' is no time of the day; write it as in 06:00 or 18:30."),
        (("--until", "noon"), "is no time of the day"),
        (("--max-minutes", "0"), "--max-minutes"),
        (("--max-minutes", "nan"), "--max-minutes"),
        (("--max-minutes", "-3"), "--max-minutes"),
        (("--max-minutes", "soon"), "--max-minutes"),
        (("--until", "06:00", "--max-minutes", "5"), "--until and --max-minutes exclude each other"),
    ],
)
def test_times_that_cannot_be_are_refused(call: CliCaller, options: tuple[str, ...], said: str) -> None:
    called = call("run", *options)
    assert (called.code, called.out) == (2, "")
    assert said in called.err


def test_the_next_occurrence_is_today_or_tomorrow(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Europe/Berlin")
        time.tzset()
        at_22 = datetime(2026, 3, 28, 21, 0, tzinfo=UTC).timestamp()  # the night in which summer time begins
        assert next_occurrence(6, 0, at_22) - at_22 == 7 * 3600
        assert next_occurrence(22, 30, at_22) - at_22 == 1800
        assert next_occurrence(22, 0, at_22) - at_22 == 23 * 3600
        assert local_time(at_22) == "22:00"
    time.tzset()


def test_run_names_the_review_only_if_something_waits(maker: CandidateMaker, call: CliCaller, tmp_path: Path) -> None:
    call.worker_command = fake_worker(tmp_path, RUN)
    assert "review list" not in call("run").out
    maker.examined(0.5)
    assert "Next: seal-console review list" in call("run").out


def test_progress_off_a_terminal_is_a_line_only_if_it_changed(
    workspace: Workspace, call: CliCaller, tmp_path: Path
) -> None:
    body = """
for done in (0, 1, 1, 1, 0, 1):
    say(progress={"stage": "propose", "done": done, "total": 1, "unit": "self-edits", "note": ""})
say(result={"rounds": []})
"""
    call.worker_command = fake_worker(tmp_path, body)
    lines = [line for line in call("-w", workspace.root, "run").err.splitlines() if line.startswith("propose")]
    assert [line.split(",")[0] for line in lines] == ["propose: 0/1 self-edits", "propose: 1/1 self-edits"]


def test_run_with_json_writes_one_object_a_line(workspace: Workspace, call: CliCaller, tmp_path: Path) -> None:
    call.worker_command = fake_worker(tmp_path, RUN)
    called = call("run", "--rounds", "2", "--json")
    *progress, result = called.objects
    assert called.code == 0
    assert [set(line) for line in progress] == [{"progress"}] * len(progress)
    assert progress[0]["progress"]["note"] == "Round 1\x1b[2J begins."
    assert progress[-1]["progress"]["done"] == 3
    assert result["asked"] == {"workspace": str(workspace.root), "rounds": 2}


@pytest.mark.usefixtures("workspace")
def test_all_refused_is_4_after_the_result(call: CliCaller, tmp_path: Path) -> None:
    call.worker_command = fake_worker(tmp_path, 'say(result={"rounds": [], "all_refused": True})\n')
    called = call("run", "--json")
    assert called.code == 4
    assert called.objects[0]["all_refused"] is True
    assert called.objects[1]["error"]["kind"] == "AllRefusedError"


@pytest.mark.parametrize(
    ("kind", "code"),
    [("WrongUseError", 2), ("NothingToDoError", 3), ("LockedError", 5), ("CorruptError", 1), ("GraderError", 1)],
)
@pytest.mark.usefixtures("workspace")
def test_the_engines_errors_keep_their_exit_codes(kind: str, code: int, call: CliCaller, tmp_path: Path) -> None:
    error = {"kind": kind, "message": "no.", "next_step": "do", "problems": ["a", "b"]}
    body = f"say(error={error})\nsys.exit({code})\n"
    call.worker_command = fake_worker(tmp_path, body)
    called = call("run")
    assert (called.code, called.out) == (code, "")
    assert called.err.splitlines()[-4:] == ["no.", "  • a", "  • b", "Try: do"]


def test_errors_come_back_as_their_own_classes(tmp_path: Path) -> None:
    for kind, wanted in (("LockedError", LockedError), ("WrongUseError", WrongUseError), ("dict", SealError)):
        command = fake_worker(tmp_path, f'say(error={{"kind": "{kind}", "message": "m"}}); sys.exit(1)\n')
        with pytest.raises(SealError) as caught:
            list(run_operation("run", {}, command=command))
        assert type(caught.value) is wanted


@pytest.mark.usefixtures("workspace")
def test_a_killed_engine_is_named_with_its_signal(call: CliCaller, tmp_path: Path) -> None:
    call.worker_command = fake_worker(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)\n")
    called = call("run")
    assert called.code == 1
    assert "SIGKILL" in called.err
    assert "memory" in called.err
    assert "Completed measurements are kept" in called.err
    assert "seal-console run resumes it" in called.err


@pytest.mark.usefixtures("workspace")
def test_an_engine_that_says_nothing_or_dies_at_once_is_a_failure(call: CliCaller, tmp_path: Path) -> None:
    call.worker_command = fake_worker(tmp_path, "sys.exit(7)\n")
    assert "exit code 7" in call("run").err
    call.worker_command = [sys.executable, "-c", "pass"]
    called = call("run")
    assert called.code == 1
    assert "exit code 0" in called.err


def test_a_large_result_and_a_busy_stderr_do_not_block(tmp_path: Path) -> None:
    body = "print('x' * 300_000, file=sys.stderr)\nsay(result={'big': 'y' * 300_000})\n"
    heard: list[str] = []
    (result,) = run_operation("run", {}, command=fake_worker(tmp_path, body), on_stderr=heard.append)
    assert isinstance(result, Result)
    assert len(result.value["big"]) == 300_000
    assert [len(line) for line in heard] == [300_000]


def test_a_folder_of_the_same_name_is_not_taken_for_the_engine(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "__init__.py").touch()
    (tmp_path / "engine" / "worker.py").write_text("print('{\"result\": {}}')")
    with pytest.raises(WrongUseError, match="operations"):
        list(run_operation("no such operation", {}))


def test_leaving_early_ends_the_engine(tmp_path: Path) -> None:
    body = f"Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\nsay(progress={{}})\ntime.sleep(600)\n"
    messages = run_operation("run", {}, command=fake_worker(tmp_path, body))
    next(messages)
    messages.close()
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()


def in_own_session(words: list[str], worker: list[str], **more: Any) -> subprocess.Popen[str]:
    """Start the command line as a terminal would, leading a process group of its own, with SIGINT not ignored."""
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        f"from seal_console.cli.main import main; sys.exit(main({words!r}, worker_command={worker!r}))"
    )
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, start_new_session=True, encoding="utf-8", **streams)


SLOW = """
folder = Path(__file__).parent
(folder / "pid").write_text(str(os.getpid()))
def note_end():
    sys.stdin.read()
    (folder / "end-of-stdin").touch()
threading.Thread(target=note_end, daemon=True).start()
try:
    say(progress={"stage": "exam", "done": 1, "total": 9, "unit": "", "note": "begun"})
    time.sleep(600)
except KeyboardInterrupt:
    (folder / "ended-by-itself").touch()
    sys.exit(130)
"""
STUBBORN = SLOW.replace("try:", "signal.signal(signal.SIGINT, signal.SIG_IGN)\ntry:")


def test_ctrl_c_lets_the_engine_end_by_itself(workspace: Workspace, tmp_path: Path) -> None:
    process = in_own_session(["-w", str(workspace.root), "run", "--json"], fake_worker(tmp_path, SLOW))
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["progress"]["note"] == "begun"
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert (tmp_path / "ended-by-itself").exists()
    assert not (tmp_path / "end-of-stdin").exists()
    assert json.loads(out.splitlines()[-1])["error"]["kind"] == "EngineInterruptedError"
    assert "Traceback" not in err
    assert "Interrupted. Completed measurements are kept." in err


def test_a_second_ctrl_c_kills(workspace: Workspace, tmp_path: Path) -> None:
    process = in_own_session(["-w", str(workspace.root), "run", "--json"], fake_worker(tmp_path, STUBBORN))
    assert process.stdout is not None
    process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.3)  # two signals at once count as one
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()


def test_sigterm_to_the_command_alone_interrupts_as_ctrl_c_does(workspace: Workspace, tmp_path: Path) -> None:
    process = in_own_session(["-w", str(workspace.root), "run"], fake_worker(tmp_path, SLOW))
    assert process.stderr is not None
    while "begun" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert (tmp_path / "ended-by-itself").exists()
    assert "Interrupted. Completed measurements are kept." in err
    assert "seal-console run resumes it." in err


def test_a_second_sigterm_ends_at_once(workspace: Workspace, tmp_path: Path) -> None:
    process = in_own_session(["-w", str(workspace.root), "run", "--json"], fake_worker(tmp_path, STUBBORN))
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)  # two signals at once count as one
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()


def test_the_engine_learns_that_its_parent_was_killed(workspace: Workspace, tmp_path: Path) -> None:
    process = in_own_session(["-w", str(workspace.root), "run", "--json"], fake_worker(tmp_path, SLOW))
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    try:
        eventually((tmp_path / "end-of-stdin").exists)
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_an_interrupted_operation_raises_its_own_error(tmp_path: Path) -> None:
    with pytest.raises(EngineInterruptedError):
        list(run_operation("run", {}, command=fake_worker(tmp_path, "sys.exit(130)\n")))


def test_a_terminal_gets_bars_and_no_hostile_byte(workspace: Workspace, tmp_path: Path) -> None:
    body = RUN.replace("done in range(1, 4):", "done in range(1, 4):\n    time.sleep(0.15)")
    ours, theirs = pty.openpty()
    worker = fake_worker(tmp_path, body)
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = in_own_session(
        ["-w", str(workspace.root), "run"], worker, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    written = b""
    while chunk := _read(ours):
        written += chunk
    assert process.wait(PATIENCE_S) == 0
    os.close(ours)
    text = written.decode("utf-8")
    assert "inner updates" in text
    assert "3/3" in text
    assert "Round 1␛[2J begins." in text
    assert "\x1b[2J" not in text
    assert "\x1b]" not in text
    assert not re.search("[\x80-\x9f]", text)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux's way to say that the other end of a pty is closed
        return b""


ECHO = """
accuracy = {"base": 0.1, "policy": 0.9}
say(result={"asked": [operation, parameters], "accuracy": accuracy, "tasks": 2, "questions": 8})
"""


MEASURED = """
say(result={"accuracy": {"new products": 0.05}, "kinds": [{"kind": "city", "right": True}], "note": "x\\x1b[2J"})
"""
BENCH = """
method = {"updates_per_s": 40.5, "steps_per_s": 9.0, "real_tokens_per_s": 1200.0, "busy_share": 0.95,
    "peak_memory_bytes": 3 * 2**20}
say(result={"slots": 4, "methods": {"bank": method, "peft": method}, "ratios": {"peft": {"per_step": 5.21}},
    "jobs": {"updates": 3, "tokens": 3280}, "subject": {"model": "bundled"}, "environment": {"threads": 2},
    "equality": {"compared": 3, "largest_relative_weight_gap": 1e-6, "largest_logit_difference": 1e-4,
        "largest_logit": 20.2},
    "bounds": {"reached_flops_per_s": 2e9, "matrix_product_flops_per_s": 5e10,
        "share_of_matrix_product_rate": 0.04,
        "seconds_per_tick": {"forward": 0.0015}}})
"""


def test_parameters_of_the_other_operations(workspace: Workspace, call: CliCaller, tmp_path: Path) -> None:
    call.worker_command = fake_worker(tmp_path, ECHO)

    def asked(*words: str) -> Any:
        called = call(*words, "--json")
        assert called.code == 0
        return called.objects[-1]["asked"]

    root = str(workspace.root)
    assert asked("evaluate", "--tasks", "all", "--methods", "base,policy", "--edits", "2") == [
        "evaluate",
        {"workspace": root, "tasks": "all", "methods": ["base", "policy"], "edits": 2},
    ]
    out = str(workspace.root / "b.json")
    assert asked(
        "lab", "bench", "inner", "--updates", "4", "--slots", "2", "--methods", "bank,peft", "--out", "b.json"
    ) == [
        "bench.inner",
        {
            "model": "bundled",
            "precision": "float32",
            "updates": 4,
            "slots": 2,
            "methods": ["bank", "peft"],
            "rounds": 3,
            "epochs": 10,
            "seal_steps": None,
            "seed": 0,
            "out": out,
        },
    ]
    assert asked("lab", "model", "build", "m", "--seed", "7", "--steps", "9") == [
        "model.build",
        {"folder": str(workspace.root / "m"), "seed": 7, "steps": 9},
    ]
    assert asked("lab", "model", "measure") == ["model.measure", {"model": "bundled", "seed": 0}]


@pytest.mark.usefixtures("workspace")
def test_evaluate_bench_and_measure_draw_tables(call: CliCaller, tmp_path: Path) -> None:
    call.worker_command = fake_worker(tmp_path, ECHO)
    shown = call("evaluate").out
    assert "90.0 %" in shown
    assert "8 questions of 2 tasks" in shown
    call.worker_command = fake_worker(tmp_path, MEASURED)
    for words in (("lab", "model", "measure"), ("lab", "model", "build", "m")):
        shown = call(*words).out
        assert all(word in shown for word in ("new products", "0.05", "yes", "x␛[2J"))
    call.worker_command = fake_worker(tmp_path, BENCH)
    shown = call("lab", "bench", "inner").out
    for word in (
        "side by side",
        "40.50",
        "1,200",
        "95.0 %",
        "3 MiB",
        "5.2 ×",
        "1.0e-06",
        "2.0 GFLOP/s",
        "forward 1.5 ms",
    ):
        assert word in shown


def test_a_folder_without_a_name_of_its_own_gets_a_neighbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "full").mkdir()
    monkeypatch.chdir(tmp_path / "full")
    assert fresh_folder(Path()) == tmp_path / "full-2"
    assert fresh_folder(Path("..") / "full") == Path("..") / "full-2"
