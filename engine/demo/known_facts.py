"""The demonstration's retention suite, and its anchors: known facts of things that no document speaks of."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import yaml

from engine.bundled.writing import question
from engine.self_edit.templates import exam_prompt

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.bundled.world import Thing

_HEAD = """\
# Facts that the bundled model has in its weights. An update may lose {allowed} of these answers, and no more: small
# models forget quickly, and a suite that allows nothing would stop nearly every edit.
"""


def write_known_facts(folder: Path, things: Sequence[Thing], allowed: int) -> None:
    """Write a suite with a question for each fact of each thing."""
    rng = random.Random("known facts in the suite")
    prompts = [
        {"question": question(thing.name, relation, rng), "answers": thing.value(relation), "group": thing.kind.name}
        for thing in things
        for relation in thing.kind.relations
    ]
    suite = {"suite": "known-facts", "allowed_losses": allowed, "prompts": prompts}
    text = _HEAD.format(allowed=allowed) + yaml.safe_dump(suite, sort_keys=False)
    (folder / "known-facts.yaml").write_text(text, encoding="utf-8")


def write_anchors(folder: Path, things: Sequence[Thing]) -> None:
    """Write anchors: each fact of each thing, as a question with its answer."""
    rng = random.Random("anchors of the demonstration")
    texts = [
        f"{exam_prompt(question(thing.name, relation, rng))} {thing.value(relation)}"
        for thing in things
        for relation in thing.kind.relations
    ]
    lines = "".join(json.dumps({"anchor": text}, ensure_ascii=False) + "\n" for text in texts)
    (folder / "anchors.jsonl").write_text(lines, encoding="utf-8")
