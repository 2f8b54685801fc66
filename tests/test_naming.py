"""Names of classes: one meaning for each name, and nouns instead of participles."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("engine", "store", "seal_console", "tests")
# Textual's messages end in participles by convention (RowOpened, FilterChanged), so those words are not in this list.
PARTICIPLE = re.compile(
    "(Added|Asked|Called|Chosen|Compared|Done|Drawn|Driven|Found|Given|Heard|Held|Hidden|Judged|Kept|Known|Learnt|Left|"
    "Made|Meant|Measured|Parsed|Passing|Plugged|Raised|Read|Said|Scripted|Seen|Served|Shown|Standing|Taught|Told|"
    "Undone|Updated|Wanted|Written)$"
)


def classes() -> dict[str, list[str]]:
    """Return where each class name is defined, nested classes included, as "file:line"."""
    found: dict[str, list[str]] = defaultdict(list)
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            place = path.relative_to(ROOT).as_posix()
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    found[node.name].append(f"{place}:{node.lineno}")
    return found


def test_every_class_name_is_used_once() -> None:
    assert {name: places for name, places in classes().items() if len(places) > 1} == {}


def test_no_class_is_named_by_a_participle() -> None:
    wrong = {name: places for name, places in classes().items() if PARTICIPLE.search(name)}
    assert wrong == {}
