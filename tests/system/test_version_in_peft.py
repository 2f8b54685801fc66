"""What git serves: the checked-out folder in PEFT answers exactly as the engine does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

from engine.bundled import BUNDLED
from engine.domains.knowledge.templates import exam_prompt
from engine.exams.exam import EvalRequest
from engine.loop.accept import accept_candidate
from engine.loop.round import run_round
from engine.loop.session import open_session
from engine.model.model_folder import model_folder
from store.candidates import list_candidates
from store.tasks import questions_of
from tests.system.workspaces import small_workspace

if TYPE_CHECKING:
    from pathlib import Path


def test_the_live_folder_answers_in_peft_as_in_the_engine(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w", held_out=0, pages=3, train=3, epochs=10)
    with open_session(workspace, "test") as session:
        run_round(session)
        best = max(list_candidates(session.db), key=lambda candidate: candidate.reward_mean or 0.0)
        accept_candidate(workspace, session.db, best.id, actor="tester", reason="to be served")
        questions = questions_of(session.db, best.task_id)
        request = EvalRequest(session.live_adapter(1), tuple(session.domain.exam(questions)), "v0001", "after")
        [answers] = session.examiner.evaluate([request])

    model = AutoPeftModelForCausalLM.from_pretrained(workspace.adapters_folder).eval()  # it finds the base by itself
    tokenizer = AutoTokenizer.from_pretrained(model_folder(BUNDLED))
    for question, answer in zip(questions, answers, strict=True):
        prompt = torch.tensor([tokenizer.encode(exam_prompt(question.text))])
        written = model.generate(input_ids=prompt, max_new_tokens=16, do_sample=False)
        text = tokenizer.decode(written[0, prompt.shape[1] :], skip_special_tokens=True)
        assert text.strip().split("\n")[0] == answer.text
