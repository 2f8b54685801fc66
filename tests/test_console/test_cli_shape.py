from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from seal_console.cli.command import SealCommand, SealGroup
from seal_console.cli.main import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

    from store.workspace import Workspace
    from tests.test_console.cli_scenario import CliCaller

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "cli.md"


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


ALL = dict(commands(cli))
LEAVES = {path: command for path, command in ALL.items() if not isinstance(command, click.Group)}


def test_the_commands_are_those_that_were_promised() -> None:
    promised = """demo init run evaluate verify info retention-import-lm-eval
    tasks-add tasks-list tasks-check tasks-purge tasks-show review-list review-show
    review-accept review-reject review-defer
    retention-add-suites retention-list
    retention-check retention-run retention-matrix guardrails-check guardrails-red-team
    review-undo rounds-abandon versions-list versions-show versions-compare versions-rollback export-sft export-table
    rounds-list alarms-list alarms-show alarms-clear web stop review-edit model-card model-check
    model-convert model-fetch versions-import
    lab-bench-inner lab-bench-busy lab-bench-cuda lab-bench-console lab-ladder
    lab-experiment-forgetting lab-experiment-collapse
    lab-model-build lab-model-measure lab-racing lab-import-seal"""
    assert {"-".join(path) for path in LEAVES} == set(promised.split())


@pytest.mark.parametrize("path", [(), *ALL], ids=lambda path: "-".join(path) or "seal-console")
def test_help_shows_examples_that_name_known_commands(path: tuple[str, ...], call: CliCaller) -> None:
    called = call(*path, "--help")
    assert (called.code, called.err) == (0, "")
    assert "Examples:" in called.out
    command = ALL[path] if path else cli
    assert isinstance(command, (SealCommand, SealGroup))
    assert command.help
    for example in command.examples:
        assert example in called.out
        for part in re.split(r" && | > | >> ", example):
            words = [word for word in part.split() if word not in {"-w", "shop", "cd"}]
            if words[:1] == ["seal-console"] and len(words) > 1:
                assert (words[1],) in ALL
                assert not isinstance(ALL[(words[1],)], click.Group) or tuple(words[1:3]) in ALL


@pytest.mark.parametrize("path", [(), *(path for path in ALL if path not in LEAVES)], ids="-".join)
def test_the_list_of_commands_has_whole_sentences_in_80_columns(
    path: tuple[str, ...], call: CliCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    listed = call(*path, "--help").out.split("Commands:\n")[1].split("\n\n")[0].splitlines()
    command = ALL[path] if path else cli
    assert isinstance(command, click.Group)
    assert len(listed) == len(command.list_commands(click.Context(command)))
    assert all(line.endswith(".") and not line.endswith("...") and len(line) <= 80 for line in listed)


@pytest.mark.parametrize(
    ("path", "meaning"),
    [
        (("guardrails", "check"), "4 a rule denies the text"),
        (("guardrails", "red-team"), "4 a prompt with the verdict deny fails"),
        (("retention", "run"), "4 a gate would stop the version"),
        (("run",), "4 all candidates refused by gates"),
    ],
)
def test_help_says_what_exit_code_4_means_there(path: tuple[str, ...], meaning: str, call: CliCaller) -> None:
    assert meaning in " ".join(call(*path, "--help").out.split())


def test_docs_name_every_command_option_and_exit_code() -> None:
    text = DOCS.read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### `seal-console ([a-z -]+)[^\n]*\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL))
    common = {"--workspace", "--json", "--help"}
    assert all(f"`{option}`" in text for option in common)
    for path, command in LEAVES.items():
        name = " ".join(path)
        section = next((body for head, body in sections.items() if head.strip() == name), None)
        assert section is not None, f"docs/cli.md has no section on {name}"
        options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
        missing = {option for option in options - common if f"`{option}" not in section}
        assert not missing, f"docs/cli.md does not name {missing} of {name}"
    for code in (0, 1, 2, 3, 4, 5, 6, 130):
        assert re.search(rf"^\| {code} \|", text, re.MULTILINE)


def test_the_command_line_loads_no_torch() -> None:
    code = (
        "import sys, seal_console.cli.main; "
        "print([name for name in ('torch', 'transformers', 'peft') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_version_and_module(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "seal_console", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("seal-console ")
    assert tmp_path.is_dir()


def test_only_one_module_makes_text_for_the_terminal() -> None:
    makers = [
        path.name
        for path in sorted((ROOT / "seal_console").rglob("*.py"))
        if re.search(r"\bText\(|from_markup|\bmarkup=True", path.read_text(encoding="utf-8"))
    ]
    assert makers == ["format.py"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("taks",), "did you mean 'tasks'?"),
        (("review", "shwo"), "did you mean 'show'?"),
        (("versions",), "list, show, compare, import, rollback"),
        (("run", "--rounds", "0"), "--rounds"),
        (("run", "--round", "1"), "--rounds"),
        (("evaluate", "--methods", "base,polcy"), "did you mean 'policy'?"),
        (("review", "accept", "abc"), "--reason"),
        (("-w", "nowhere", "tasks", "list"), "nowhere"),
        (("tasks", "list", "-w", "nowhere"), "nowhere"),
        (("tasks", "list"), "seal-console init DIR"),
        (("bench", "inner"), "it is now 'seal-console lab bench'."),
        (("experiment", "collapse"), "it is now 'seal-console lab experiment'."),
        (("import", "seal", "x.json"), "it is now 'seal-console lab import'."),
        (("model", "build", "x"), "it is now 'seal-console lab model build'."),
        (("model", "measure"), "it is now 'seal-console lab model measure'."),
        (("policy", "check"), "it is now 'seal-console guardrails'."),
        (("lab", "bench", "inner", "--ways", "peft"), "--ways is now called --methods."),
        (("lab", "experiment", "forgetting", "--lines", "2"), "--lines is now called --lineages."),
        (("lab", "bench", "inner", "--lines", "2"), "No such option"),
        (("lab",), "bench, experiment, ladder, model, import"),
    ],
)
def test_wrong_use_is_2_and_says_what_to_do(words: tuple[str, ...], said: str, call: CliCaller) -> None:
    called = call(*words)
    assert (called.code, called.out) == (2, "")
    assert said in called.err
    assert "Try: " in called.err
    with_json = call(*words, "--json")
    assert with_json.code == 2
    (error,) = with_json.objects
    assert said in json.dumps(error["error"], ensure_ascii=False)


def test_the_next_step_after_a_former_command_is_the_whole_line_with_its_new_name(call: CliCaller) -> None:
    called = call("bench", "inner", "--updates", "4")
    assert "Try: seal-console lab bench inner --updates 4" in called.err.splitlines()


def test_the_workspace_is_named_before_after_by_variable_or_found(
    workspace: Workspace, call: CliCaller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace.tasks_folder)
    assert call("tasks", "list").code == 0
    monkeypatch.chdir(tmp_path)
    assert call("tasks", "list").code == 2
    assert call("-w", workspace.root, "tasks", "list").code == 0
    assert call("tasks", "-w", workspace.root, "list").code == 0
    assert call("tasks", "list", "--workspace", workspace.root).code == 0
    assert call("-w", "nowhere", "tasks", "list", "-w", workspace.root).code == 0
    monkeypatch.setenv("SEAL_WORKSPACE", str(workspace.root))
    assert call("tasks", "list").code == 0


def test_json_is_accepted_before_the_command_too(workspace: Workspace, call: CliCaller) -> None:
    (found,) = call("--json", "info").objects
    assert found["workspace"]["paths"]["workspace"] == str(workspace.root)


def test_what_is_unexpected_leaves_a_report_and_no_traceback(
    workspace: Workspace, call: CliCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("boom\x1b[2J")

    monkeypatch.setattr("seal_console.cli.tasks.list_tasks", fail)
    called = call("tasks", "list")
    assert (called.code, called.out) == (1, "")
    assert "Traceback" not in called.err
    assert "RuntimeError: boom␛[2J" in called.err
    (report,) = (workspace.cache_folder / "reports").iterdir()
    assert str(report) in called.err
    assert "Traceback" in report.read_text(encoding="utf-8")
    assert call("tasks", "list", "--json").objects[0]["error"]["kind"] == "UnexpectedError"


def test_without_a_workspace_the_report_is_a_temporary_file(
    tmp_path: Path, call: CliCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.runtime.crash_report.tempfile.gettempdir", lambda: str(tmp_path / "t"))
    monkeypatch.setattr("seal_console.cli.info.installation", lambda: 1 / 0)
    assert call("info").code == 1
    assert [path.suffix for path in (tmp_path / "t").iterdir()] == [".txt"]


def test_a_reader_that_leaves_early_is_no_crash(workspace: Workspace) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m seal_console -w {workspace.root} info | true; echo ${{PIPESTATUS[0]}}"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.strip() in {"0", "1"}


@pytest.mark.parametrize("text", ["", "  ", "a\x1b[2Jb", "two\nlines", "\u202ereversed", "\udcff"])
@pytest.mark.parametrize("option", ["--as", "--reason"])
def test_names_and_reasons_are_one_clean_line(call: CliCaller, option: str, text: str) -> None:
    for words in (
        ("review", "reject", "1"), ("review", "accept", "1"), ("review", "defer", "1"), ("review", "undo"),
        ("alarms", "clear", "1"), ("versions", "rollback", "v0001"), ("rounds", "abandon", "1"),
    ):  # fmt: skip
        other = () if option == "--reason" else ("--reason", "x")
        called = call(*words, *other, option, text)
        assert called.code == 2, words
        assert f"Invalid value for '{option}': it " in called.err
    if option == "--as":
        for start in ([], ["web"], ["review", "edit", "1"]):
            called = call(*start, option, text)
            assert called.code == 2, start
            assert "Invalid value for '--as': it " in called.err
