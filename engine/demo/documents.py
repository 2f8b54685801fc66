"""The documents of a demonstration: pages about new things, and release notes that change known facts.

Everything is made up and drawn from a seed. Each document has its questions in a separate file, as a user would write
them.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from engine.bundled.world import Thing, known_things, new_things
from engine.bundled.writing import Passage, passage_about, question, release_note
from engine.domains.knowledge.templates import exam_prompt

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.bundled.world import Thing


_CHANGES_PER_NOTE = 3


@dataclass(frozen=True, slots=True)
class DemoDocuments:
    """The folders of pages and notes, and known things that no document mentions, split in two.

    Anchors may be made from `anchored`; `untouched` things are only ever asked about.
    """

    pages: Path
    notes: Path
    untouched: tuple[Thing, ...]
    anchored: tuple[Thing, ...]


def write_documents(folder: Path, *, pages: int, notes: int, untouched: int, seed: int) -> DemoDocuments:
    """Write pages about new things and release notes on known ones, each with a question file."""
    rng = random.Random(f"demo {seed}")
    pages_folder, notes_folder = folder / "pages", folder / "release-notes"
    for thing in new_things(pages, seed):
        _write(pages_folder, passage_about(thing, rng), rng)
    known = rng.sample(known_things(), notes + untouched)
    for thing in known[:notes]:
        _write(notes_folder, release_note(thing, rng, _CHANGES_PER_NOTE), rng)
    spoken_of = {thing.name for thing in known}
    anchored = tuple(thing for thing in known_things() if thing.name not in spoken_of)
    return DemoDocuments(pages_folder, notes_folder, tuple(known[notes:]), anchored)


def _write(folder: Path, passage: Passage, rng: random.Random) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    name = passage.title.lower()
    questions = [
        {"question": question(passage.title, fact.relation, rng), "answer": fact.value} for fact in passage.facts
    ]
    (folder / f"{name}.md").write_text(f"# {passage.title}\n\n{passage.text}\n", encoding="utf-8")
    (folder / f"{name}.questions.yaml").write_text(yaml.safe_dump(questions, sort_keys=False), encoding="utf-8")


_HEAD = """\
# Facts that the bundled model knows. An update may lose {allowed} of these answers, no more: small models forget
# quickly, and a suite that allowed no loss would stop nearly every edit.
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
