"""The split of a task's questions into those that give the reward and those that only audit.

A question's side follows from its own content, so it stays when others are added after it. The first question of a task
that does not say its side itself always gives the reward; a question put before it may therefore move that one. (No
rule that ignores the order can promise both that nothing moves and that a reward question is always there.)
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from store.hashing import canonical_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from store.records import Split


def split_questions(title: str, questions: Sequence[tuple[str, Split | None]], audit_share: float) -> list[Split]:
    """Return the side of each question, given as its text and the side that the file demands, if any."""
    sides: list[Split] = []
    first_undemanded_is_seen = False
    for text, demanded in questions:
        if demanded is not None:
            sides.append(demanded)
        elif not first_undemanded_is_seen:
            first_undemanded_is_seen = True
            sides.append("reward")
        else:
            sides.append("audit" if _fraction(title, text) < audit_share else "reward")
    return sides


def _fraction(title: str, text: str) -> float:
    """Map a question to a number from 0 up to, not including, 1, evenly and always the same."""
    digest = sha256(canonical_json(["audit split", title, " ".join(text.split())]).encode()).digest()
    return int.from_bytes(digest[:6], "big") / (1 << 48)
