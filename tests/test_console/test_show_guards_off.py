from __future__ import annotations

from typing import TYPE_CHECKING

from engine.guardrails.reading import as_recorded, read_guardrails
from engine.settings.reading import load_settings
from seal_console.console.screens.now import NowScreen
from store.rounds import finish_round, start_round
from tests.test_console.cli_scenario import BASE, CliCaller, fake_worker
from tests.test_console.console_scenario import drive, run

if TYPE_CHECKING:
    from pathlib import Path

    from sqlite_utils import Database

    from store.workspace import Workspace
    from tests.test_console.cli_scenario import CandidateMaker

LOOSE = "gates: {min_reward: null}\nacceptance: {automatic: true}\n"
RULES = "rules:\n  - {rule: none, kind: pattern, verdict: deny, patterns: [secret]}\n"


def ran_with_these(workspace: Workspace, db: Database) -> None:
    """Record a finished round that began with the settings as they are."""
    settings = load_settings(workspace.settings_file).model_dump(mode="json")
    kept = as_recorded(read_guardrails(workspace))
    started = start_round(
        db, seed=0, settings={"base": BASE, **settings, "guardrails": kept}, live_version=None, policy_version=None
    )
    finish_round(db, started.number, "done", {})


def test_run_and_info_say_which_guards_are_off(
    maker: CandidateMaker, workspace: Workspace, call: CliCaller, tmp_path: Path
) -> None:
    call.worker_command = fake_worker(tmp_path, 'say(result={"rounds": []})')
    workspace.guardrails_file.write_text(RULES, encoding="utf-8")
    assert "Off:" not in call("run").err
    assert "Guards that are off" not in call("info").out
    workspace.settings_file.write_text("gates: {min_reward: null}\n", encoding="utf-8")
    workspace.guardrails_file.write_text("rules: []\n", encoding="utf-8")
    ran_with_these(workspace, maker.db)
    workspace.settings_file.write_text(LOOSE, encoding="utf-8")
    said = [line for line in call("run").err.splitlines() if line.startswith("Off: ")]
    assert said == [
        "Off: gates.min_reward: null: no reward is too low (since round 1)",
        "Off: acceptance.automatic: true: the best candidate goes live without a person (not used in a round yet)",
        "Off: guardrails.yaml is missing or empty: no rule is applied to self-edits (since round 1)",
    ]
    shown = call("info").out
    assert "Guards that are off" in shown
    assert "no reward is too low (since round 1)" in shown
    (about,) = call("info", "--json").objects
    assert len(about["workspace"]["guards_off"]) == 3
    workspace.settings_file.write_text("gates: [\n", encoding="utf-8")
    assert call("info", "--json").objects[0]["workspace"]["guards_off"] == {}


def test_the_first_screen_says_so_too(workspace: Workspace) -> None:
    workspace.guardrails_file.write_text(RULES, encoding="utf-8")
    workspace.settings_file.write_text(LOOSE, encoding="utf-8")

    async def flow() -> None:
        async with drive(workspace, size=(120, 70)) as console:
            await console.until(lambda: isinstance(console.app.screen, NowScreen) and console.app.screen.was_loaded)
            await console.until(lambda: "gates.min_reward: null" in console.shown())
            assert "acceptance.automatic: true" in console.shown()
            assert "guardrails.yaml is" not in console.shown()
            await console.press("f2")
            await console.until(lambda: "no reward is too low (not used in a round yet)" in console.shown())

    run(flow())
