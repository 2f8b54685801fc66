"""What a base itself says to everyday prompts, as anchors: rehearsal on the model's own answers.

Nobody has a pretrained model's training data, but what it says about everyday things is there to be asked. Huang et al.
2024 (arXiv 2403.01244) rehearse such answers in place of stored data. They are asked once; the workspace's cache keeps
them, and may be deleted at any time.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from engine.generation.prompts import TextPrompt
from engine.runtime.progress import Progress, Report, ignore_progress
from store.durable import write_file
from store.hashing import HASH_PREFIX, hash_json
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.domains.domain import Domain
    from engine.executors.executor import Executor

LONGEST = 32  # tokens of an answer: rehearsal is in every step of every update


def own_answers(executor: Executor, domain: Domain, prompts: Sequence[str]) -> list[str]:
    """Return each prompt with the base's greedy answer, as anchors are written, if it ends within LONGEST tokens."""
    asked = [TextPrompt(domain.question_prompt(one), 0, LONGEST, domain.stop) for one in prompts]
    given = executor.complete(asked, [None])
    return [
        f"Question: {prompt}\nAnswer: {one.text.strip()}"
        for prompt, one in zip(prompts, given, strict=True)
        if one.text.strip() and not one.cut
    ]


def cached_own_answers(
    executor: Executor, domain: Domain, prompts: Sequence[str], cache_folder: Path, report: Report = ignore_progress
) -> list[str]:
    """Ask the base once for its own answers; a file that was changed since, or that cannot be read, is asked anew."""
    if not prompts:
        return []
    identity = executor.identity
    asked = [domain.question_prompt(one) for one in prompts]
    key = hash_json([identity.fingerprint, identity.precision, LONGEST, domain.stop, asked])
    path = cache_folder / "own-answers" / f"{key.removeprefix(HASH_PREFIX)}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(path.read_bytes())
        if kept["hash"] == hash_json(kept["anchors"]):
            return [str(one) for one in kept["anchors"]]
    report(Progress("round", 0, 0, note=f"Asking the base {counted(len(prompts), 'everyday question')} to rehearse."))
    anchors = own_answers(executor, domain, prompts)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, json.dumps({"hash": hash_json(anchors), "anchors": anchors}, ensure_ascii=False).encode("utf-8"))
    return anchors
