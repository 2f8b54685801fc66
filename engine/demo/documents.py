"""The documents of a demonstration: pages about new things, and release notes that change known facts.

All of it is made up and drawn from a seed. Each document has its questions in a file beside it, as a user would write
them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from engine.bundled.world import Thing, known_things, new_things
from engine.bundled.writing import Passage, passage_about, question, release_note

if TYPE_CHECKING:
    from pathlib import Path

_CHANGES_PER_NOTE = 3


@dataclass(frozen=True, slots=True)
class DemoDocuments:
    """What was written: folders of pages and notes; and known things that no document speaks of, cut in two.

    Anchors may be made from `anchored`; the others are only ever asked about.
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
