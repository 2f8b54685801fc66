from __future__ import annotations

from typing import TYPE_CHECKING

from textual.geometry import Offset

from seal_console.console.dialogs.confirm import ConfirmDialog
from store.alarms import clear_alarms, raise_alarm
from store.jobs import add_job, list_jobs, start_job, take_stop
from store.live_progress import put_progress
from store.lock import hold_lock
from store.records import LiveProgress
from store.rounds import finish_round, open_round
from tests.test_console.cli_scenario import round_summary
from tests.test_console.console_scenario import drive, run
from tests.test_console.rule_scenario import judged

if TYPE_CHECKING:
    from store.workspace import Workspace
    from tests.test_console.cli_scenario import CandidateMaker

RUNNING = {
    "candidate_id": "sha256:" + "ab" * 32,
    "repeat": 0,
    "slot": 0,
    "step": 7,
    "steps": 20,
    "losses": [3.0, 1.5, 0.7],
}


def progress(done: int) -> LiveProgress:
    at = "2026-11-22T10:00:00.000Z"
    return LiveProgress("inner updates", done, 40, "inner updates", "", 2.0, at, at, {"running": [RUNNING]})


def test_it_says_what_is_live_what_waits_and_what_runs(maker: CandidateMaker, workspace: Workspace) -> None:
    maker.examined(0.5)

    async def flow() -> None:
        async with drive(workspace) as console:
            await console.until(lambda: "1 self-edit waits for a decision" in console.shown())
            await console.until(lambda: "No engine is running." in console.shown())
            with hold_lock(workspace.lock_file, "run"):
                put_progress(maker.db, [progress(10)])
                await console.until(lambda: "10/40 2.0/s" in console.shown())
                assert "2.0/s 15 s left" in console.shown()
                assert "step   7/20" in console.shown()
                put_progress(maker.db, [progress(20)])
                await console.until(lambda: "20/40 2.0/s" in console.shown())
            await console.until(lambda: "No engine is running." in console.shown())

    run(flow())


def test_the_engines_last_note_is_shown_until_a_stage_progresses(maker: CandidateMaker, workspace: Workspace) -> None:
    at = "2026-11-22T09:00:00.000Z"
    loading = LiveProgress("round", 0, 0, "", "Loading the model.", None, at, at, {})

    async def flow() -> None:
        async with drive(workspace) as console:
            with hold_lock(workspace.lock_file, "jobs"):
                put_progress(maker.db, [loading])
                await console.until(lambda: "Loading the model." in console.shown())
                put_progress(maker.db, [progress(10)])
                await console.until(lambda: "10/40 2.0/s" in console.shown())
                assert "Loading the model." not in console.shown()

    run(flow())


def test_a_round_is_requested_once_and_a_stop_is_confirmed(maker: CandidateMaker, workspace: Workspace) -> None:
    maker.examined(0.5)

    async def flow() -> None:
        async with drive(workspace) as console:
            await console.press("ctrl+r")
            await console.until(lambda: isinstance(console.app.screen, ConfirmDialog))
            await console.press("ctrl+s")
            await console.until(lambda: console.started == [workspace.root])
            assert [one.kind for one in list_jobs(maker.db)] == ["run"]
            with hold_lock(workspace.lock_file, "jobs"):
                start_job(maker.db, 1)
                await console.until(lambda: console.app.facts.running)
                await console.press("ctrl+x")
                await console.until(lambda: isinstance(console.app.screen, ConfirmDialog))
                await console.press("escape")
                assert take_stop(maker.db) is None
                await console.press("ctrl+x")
                await console.until(lambda: isinstance(console.app.screen, ConfirmDialog))
                await console.press("ctrl+s")
                await console.until(lambda: take_stop(maker.db) is not None)
            await console.until(lambda: "The engine died during" in console.shown())
            await console.press("ctrl+r")
            await console.until(lambda: isinstance(console.app.screen, ConfirmDialog))
            await console.press("ctrl+s")
            await console.until(lambda: len(console.started) == 2)
            assert len([one for one in list_jobs(maker.db) if one.kind == "run"]) == 1, "it goes on with the one it has"

    run(flow())


def test_requests_that_wait_are_served_when_the_engine_is_free(maker: CandidateMaker, workspace: Workspace) -> None:
    async def flow() -> None:
        async with drive(workspace) as console:
            with hold_lock(workspace.lock_file, "run"):
                await console.until(lambda: console.app.facts.running)
                add_job(maker.db, "run", {"rounds": 1}, "bob")
                await console.until(lambda: "waiting job: run, by bob" in console.shown())
                assert console.started == []
            await console.until(lambda: console.started == [workspace.root])

    run(flow())


def test_the_plot_has_every_round_and_an_interrupted_one_is_named(maker: CandidateMaker, workspace: Workspace) -> None:
    maker.examined(0.5)
    current = open_round(maker.db)
    assert current is not None
    finish_round(maker.db, current.number, "done", round_summary(before=0.2, after=0.6), None)

    async def flow() -> None:
        async with drive(workspace) as console:
            await console.until(lambda: "◆ held-out accuracy after" in console.shown())
            assert "● mean reward" in console.shown()

    run(flow())


def test_names_in_the_first_line_can_be_clicked_and_sizes_changed(maker: CandidateMaker, workspace: Workspace) -> None:
    maker.examined(0.5)

    async def flow() -> None:
        async with drive(workspace) as console:
            place = console.shown().splitlines()[0].index("Versions")
            await console.pilot.click(offset=Offset(place, 0))
            await console.until(lambda: console.app.current_mode == "versions")
            for size in ((200, 60), (80, 24), (40, 10), (120, 40)):
                await console.pilot.resize_terminal(*size)
                for key in "123456":
                    await console.press(key)
                    await console.pilot.pause()
            assert "Unexpected error" not in console.shown()

    run(flow())


def test_what_guards_older_knowledge_is_summed_up_over_its_newest_round(
    maker: CandidateMaker, workspace: Workspace
) -> None:
    for place, passed in enumerate((True, False, False)):
        candidate = maker.examined(0.1 * place)
        maker.db["gates"].insert(
            {
                "candidate_id": candidate.id,
                "gate": "retention:products",
                "passed": int(passed),
                "evidence": "{}",
                "decided_at": "2026-11-22T10:00:00.000Z",
            }
        )

    async def flow() -> None:
        async with drive(workspace, size=(160, 45)) as console:
            await console.until(lambda: "retention:products: 2 of 3 self-edits stopped" in console.shown())
            assert "shadow" not in console.shown()

    run(flow())


def test_a_gate_that_tested_nothing_has_no_green_sign(maker: CandidateMaker, workspace: Workspace) -> None:
    candidate = maker.examined(0.5)
    for gate, evidence in (("drift", '{"mean_kl": 0.1, "max_drift": null}'), ("retention:a", '{"right_before": 1}')):
        row = {"candidate_id": candidate.id, "gate": gate, "passed": 1, "evidence": evidence, "decided_at": "2026"}
        maker.db["gates"].insert(row)

    async def flow() -> None:
        async with drive(workspace, size=(160, 45)) as console:
            await console.until(lambda: "– drift: 0 of 1 self-edit stopped, 1 not tested" in console.shown())
            assert "✓ retention:a: 0 of 1 self-edit stopped" in console.shown()

    run(flow())


def test_what_the_guardrails_did_in_the_newest_round_is_one_line(maker: CandidateMaker, workspace: Workspace) -> None:
    judged(maker, ("a", False, None))
    judged(maker, ("b", False, "hold"), trained=True)

    async def flow() -> None:
        async with drive(workspace, size=(160, 45)) as console:
            await console.until(lambda: "guardrails: 1 denied, 1 to review, 0 noted of 2 in round 1" in console.shown())

    run(flow())


def test_active_alarms_come_first_until_they_are_cleared(maker: CandidateMaker, workspace: Workspace) -> None:
    maker.examined(0.5)
    raise_alarm(maker.db, 1, "echo\x1b[2J", {})

    async def flow() -> None:
        async with drive(workspace) as console:
            await console.until(lambda: "! alarm 1 is active: echo␛[2J" in console.shown())
            clear_alarms(maker.db, "1", "ada", "a list of prices")
            await console.until(lambda: "alarm 1 is active" not in console.shown())

    run(flow())
