"""A workspace whose model is a GGUF file: a round, a version, and what PEFT makes of it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import torch
from peft import AutoPeftModelForCausalLM

from engine.bank.packed import packed_logits
from engine.loop.accept import accept_candidate
from engine.loop.round import run_round
from engine.loop.session import open_session
from store.candidates import list_candidates
from store.verify import verify
from tests.system.workspaces import small_workspace
from tests.tiny_gguf import write_gguf

if TYPE_CHECKING:
    from pathlib import Path

PROBE = [5, 9, 100, 41, 7, 200, 12, 77]


def test_a_version_names_a_base_that_peft_loads(tmp_path: Path) -> None:
    gguf = write_gguf(tmp_path / "tiny.gguf", quantisation="Q8_0", template=None)
    workspace = small_workspace(tmp_path / "w", model=str(gguf), held_out=0, pages=3, train=3, per_task=1)
    with open_session(workspace, "test") as session:
        run_round(session)
        examined = next(one for one in list_candidates(session.db) if one.state == "examined")
        accept_candidate(workspace, session.db, examined.id, actor="Ada", reason="to be served")
        live = session.live_adapter(1)
        assert live is not None
        (expected,) = packed_logits(session.base, [live], [PROBE])
        fingerprint = session.base.fingerprint

    model = AutoPeftModelForCausalLM.from_pretrained(workspace.adapters_folder, dtype=session.base.precision).eval()
    with torch.no_grad():
        found = model(torch.tensor([PROBE])).logits[0]
    assert torch.allclose(found.float(), expected.float(), atol=1e-3)

    shutil.rmtree(workspace.cache_folder / "models")  # safe to delete: the next round makes the same base again
    with open_session(workspace, "test") as session:
        assert session.base.fingerprint == fingerprint
        assert session.live_adapter(1) is not None
        assert verify(workspace, session.db).problems == []
