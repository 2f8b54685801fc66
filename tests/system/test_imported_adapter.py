"""An adapter that PEFT trained elsewhere becomes v0001, answers the same, and rounds go on from it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import safetensors.torch
import torch
from peft import AutoPeftModelForCausalLM, LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from engine.bank.packed import packed_logits
from engine.bundled import BUNDLED
from engine.loop.accept import accept_candidate
from engine.loop.examine_version import fill_matrix
from engine.loop.import_adapter import import_adapter
from engine.loop.round import run_round
from engine.loop.session import open_session
from engine.model.model_folder import model_folder
from engine.retention.matrix import figures, recorded_matrix
from seal_console.console.screens.candidate_content import read_candidate, sections
from seal_console.console.screens.round_report import round_report
from seal_console.console.screens.version_card import version_card
from seal_console.engine_process import WORKER_COMMAND
from seal_console.queries.rounds import round_facts, round_lines
from seal_console.queries.versions import version_facts
from store.candidates import list_candidates
from store.database import open_database
from store.errors import WrongUseError
from store.verify import verify
from store.version_rows import list_versions, live_version
from store.versions import rollback
from tests.system.workspaces import small_workspace
from tests.test_console.cli_scenario import CliCaller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from _pytest.capture import CaptureFixture

    from engine.loop.session import Session
    from store.workspace import Workspace

PROBE = [5, 9, 300, 41, 7, 800, 12, 77]
WORDS = {"actor": "Ada", "reason": "trained on our manuals"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of rank 8 on two layers of each block, as PEFT saves it; its B is not zero."""
    folder = tmp_path_factory.mktemp("adapters") / "manuals"
    torch.manual_seed(1)
    config = LoraConfig(r=8, lora_alpha=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    get_peft_model(AutoModelForCausalLM.from_pretrained(model_folder(BUNDLED)), config).save_pretrained(folder)
    return folder


@pytest.fixture
def adapter(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "manuals")


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A session in which every import is refused."""
    workspace = small_workspace(tmp_path_factory.mktemp("untouched") / "w", pages=3, train=3, held_out=0)
    with open_session(workspace, "test") as session:
        yield session
        assert list_versions(session.db) == []


def new_workspace(folder: Path) -> Workspace:
    return small_workspace(folder, pages=3, train=3, held_out=0, per_task=1)


def logits_in_peft(folder: Path) -> torch.Tensor:
    model = AutoPeftModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        found: torch.Tensor = model(torch.tensor([PROBE])).logits[0]
    return found


def change_config(folder: Path, **keys: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    path = folder / "adapter_model.safetensors"
    tensors = safetensors.torch.load_file(path)
    change(tensors)
    safetensors.torch.save_file(tensors, path)


def test_it_answers_as_its_source_and_rounds_go_on_from_it(adapter: Path, tmp_path: Path) -> None:
    workspace = new_workspace(tmp_path / "w")
    with open_session(workspace, "test") as session:
        version, origin = import_adapter(session, adapter, **WORDS)
        assert (version.tag, origin.rank, origin.layers) == (
            "v0001",
            8,
            2 * session.base.model.config.num_hidden_layers,
        )
        live = session.live_adapter(1)
        assert live is not None
        (mine,) = packed_logits(session.base, [live], [PROBE])

    source = logits_in_peft(adapter)
    assert torch.allclose(logits_in_peft(workspace.adapters_folder), source, atol=1e-5)
    assert torch.allclose(mine, source, atol=1e-4)
    bare = AutoModelForCausalLM.from_pretrained(model_folder(BUNDLED))
    with torch.no_grad():
        assert float((source - bare(torch.tensor([PROBE])).logits[0]).abs().max()) > 0.05

    with open_session(workspace, "test") as session:
        run_round(session)
        examined = next(one for one in list_candidates(session.db) if one.state == "examined")
        assert examined.live_version == 1
        accept_candidate(workspace, session.db, examined.id, actor="Ada", reason="on top of it")
        fill_matrix(session, 2)
        assert figures(recorded_matrix(session.db, 2))["mean_now"] is not None
        rollback(workspace, session.db, 1, "Ada", "back to the import")
        assert verify(workspace, session.db).problems == []
    assert torch.allclose(logits_in_peft(workspace.adapters_folder), source, atol=1e-5)


def test_half_precision_is_kept_exactly(adapter: Path, tmp_path: Path) -> None:
    def halve(tensors: dict[str, torch.Tensor]) -> None:
        tensors.update({name: one.bfloat16() for name, one in tensors.items()})

    change_weights(adapter, halve)
    workspace = new_workspace(tmp_path / "w")
    with open_session(workspace, "test") as session:
        import_adapter(session, adapter, **WORDS)
    assert torch.allclose(logits_in_peft(workspace.adapters_folder), logits_in_peft(adapter), atol=1e-5)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda a: change_config(a, use_dora=True), "use_dora is True"),
        (lambda a: change_config(a, use_rslora=True), "use_rslora is True"),
        (lambda a: change_config(a, rank_pattern={"q_proj": 4}), "rank_pattern is"),
        (lambda a: change_config(a, bias="all"), "bias is 'all'"),
        (lambda a: change_config(a, modules_to_save=["lm_head"]), "modules_to_save is"),
        (lambda a: change_config(a, peft_type="IA3"), "peft_type is 'IA3'"),
        (lambda a: change_config(a, r=4), "do not fit rank 4"),
        (lambda a: change_config(a, target_modules=["q_proj"]), "so PEFT would leave its weights out"),
        (lambda a: (a / "adapter_config.json").write_text("{"), "adapter_config.json is not JSON"),
        (lambda a: (a / "adapter_config.json").unlink(), "has no adapter_config.json"),
        (
            lambda a: (a / "adapter_model.safetensors").rename(a / "adapter_model.bin"),
            r"weights in pickle formats (adapter_model.bin) are never read",
        ),
        (
            lambda a: (a / "adapter_model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n"),
            "is a Git LFS pointer",
        ),
        (lambda a: (a / "adapter_model.safetensors").write_bytes(b"short"), "is not a safetensors file"),
        (lambda a: change_weights(a, lambda t: next(iter(t.values())).fill_(float("nan"))), "not finite"),
        (lambda a: change_weights(a, lambda t: t.pop(min(t))), "does not fit the base model"),
        (lambda a: change_weights(a, lambda t: t.update({"base_model.model.x.lora_A.weight": torch.ones(8, 3)})),
         "module 'x' does not fit the base model"),
        (shutil.rmtree, "is not a folder"),
    ],
)  # fmt: skip
def test_what_is_no_plain_lora_of_this_base_is_refused_by_name(
    adapter: Path, untouched: Session, damage: Callable[[Path], object], said: str
) -> None:
    damage(adapter)
    with pytest.raises(WrongUseError) as refused:
        import_adapter(untouched, adapter, **WORDS)
    assert said in " ".join([refused.value.message, *refused.value.problems])
    assert refused.value.next_step


@pytest.mark.parametrize(
    ("settings", "said", "setting"),
    [
        ({"rank": 4}, "has rank 8, inner updates have 4", "inner_update.rank: 8"),
        ({"target_modules": ("q_proj",)}, "that inner_update.target_modules lacks", "target_modules: all-linear"),
    ],
)
def test_what_inner_updates_cannot_hold_names_the_setting(
    adapter: Path, untouched: Session, settings: dict[str, Any], said: str, setting: str
) -> None:
    inner = untouched.settings.inner_update.model_copy(update=settings)
    session = untouched.under(untouched.settings.model_copy(update={"inner_update": inner}))
    with pytest.raises(WrongUseError, match=said) as refused:
        import_adapter(session, adapter, **WORDS)
    assert setting in refused.value.next_step


def test_the_command_warns_of_another_base_and_says_what_is_live(
    adapter: Path, tmp_path: Path, capsys: CaptureFixture[str]
) -> None:
    change_config(adapter, base_model_name_or_path="some/other-base")
    call = CliCaller(capsys, list(WORKER_COMMAND))
    workspace = new_workspace(tmp_path / "w")
    made = call("-w", workspace.root, "versions", "import", adapter, "--reason", "ours", "--as", "ada")
    assert made.code == 0, made.err
    assert "names the base 'some/other-base'" in made.err
    assert f"v0001 is live: the adapter in {adapter}, rank 8" in made.out
    shown = call("-w", workspace.root, "versions", "show", "v0001", "--json").objects[-1]
    assert shown["manifest"]["imported"]["base_named"] == "some/other-base"
    assert (shown["accepted_by"], shown["reason"], shown["live"]) == ("ada", "ours", True)
    for command in (["versions", "show", "v0001"], ["versions", "compare", "v0000", "v0001"], ["rounds", "list"],
                    ["tasks", "list"], ["retention", "matrix"], ["info"], ["verify"], ["export", "table", "versions"],
                    ["review", "show", shown["candidate_id"]]):  # fmt: skip
        done = call("-w", workspace.root, *command)
        assert (done.code, "Traceback" in done.err) == (0, False), (command, done.err)
    again = call("-w", workspace.root, "versions", "import", adapter, "--reason", "ours", "--json")
    assert again.code == 2
    assert "before the first acceptance" in again.objects[-1]["error"]["message"]
    db = open_database(workspace.database_file)
    assert live_version(db) == 1
    card = version_card(version_facts(workspace, db, 1), workspace.adapters_folder).plain
    assert f"Imported from {adapter}" in card
    (line,) = round_lines(db)
    assert "imported" in round_report(round_facts(db, line), [line], []).plain
    assert sections(read_candidate(db, shown["candidate_id"]), 100)
    db.close()
