"""`demo` without a terminal: what it prints, and which folder it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.test_console.cli_scenario import CliCaller, fake_worker

if TYPE_CHECKING:
    from pathlib import Path

DEMO = """
say(progress={"stage": "round", "done": 0, "total": 0, "unit": "", "note": "Once upon a time."})
def figure(right):
    return {"accuracy": right / 100, "right": right, "answers": 100, "documents": 20, "interval_95": [0.1, 0.9]}
say(result={"base": figure(3), "context_only": figure(25), "rounds": [figure(42), figure(64), figure(69)],
    "versions": ["v0001", "v0002"], "live": "v0001",
    "known_facts": {"base": {"right": 196, "of": 200}, "v0001": {"right": 194, "of": 200}},
    "elapsed_s": 12.5, "asked": parameters})
"""


def test_demo_prints_its_steps_to_stdout_and_ends_with_the_table(call: CliCaller, tmp_path: Path) -> None:
    call.worker_command = fake_worker(tmp_path, DEMO)
    called = call("demo", "--headless", "--rounds", "2")
    assert (called.code, called.err) == (0, "")
    for words in ("Once upon a time.", "base model", "context only", "before training", "after round 2", "69.0 %",
                  "69 of 100", "10–90 %", "v0001, v0002", "Live: v0001",
                  "Unrelated facts still answered correctly: base 196 of 200, v0001 194 of 200",
                  "seal-console review list"):  # fmt: skip
        assert words in called.out
    assert str(tmp_path / "seal-demo") in called.out


def test_demo_with_json_ends_with_the_result(call: CliCaller, tmp_path: Path) -> None:
    call.worker_command = fake_worker(tmp_path, DEMO)
    (tmp_path / "seal-demo").mkdir()
    (tmp_path / "seal-demo-2").mkdir()
    called = call("demo", "--json", "--rounds", "1", "--seed", "3")
    result = called.objects[-1]
    assert {"base", "context_only", "rounds", "versions", "live", "elapsed_s"} <= set(result)
    assert result["asked"] == {"folder": str(tmp_path / "seal-demo-3"), "rounds": 1, "seed": 3}
    assert "Once upon a time." in called.err


def test_demo_does_not_touch_a_folder_that_is_in_use(call: CliCaller, tmp_path: Path) -> None:
    call.worker_command = fake_worker(tmp_path, DEMO)
    (tmp_path / "mine").mkdir()
    assert call("demo", "mine").code == 0
    (tmp_path / "mine" / "file").touch()
    called = call("demo", "mine")
    assert called.code == 2
    assert "seal-console demo mine-2" in called.err


def test_an_interrupted_demo_names_both_folders(call: CliCaller, tmp_path: Path) -> None:
    call.worker_command = fake_worker(tmp_path, "(Path(parameters['folder']) / 'x').mkdir(parents=True); sys.exit(130)")
    called = call("demo", "mine", "--headless")
    assert called.code == 130
    assert "seal-console -w mine run --rounds 1 continues; seal-console demo mine-2 starts again." in called.err
