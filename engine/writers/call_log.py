"""`cache/judge.jsonl`: every call of a chat endpoint, one line each, in which replies are found again by request hash.

It may be deleted: then everything is asked again. A broken line, as a crash may leave at the end, is skipped. Anyone
who can write this file can forge replies, as with every file of the workspace.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from store.clock import utc_now

if TYPE_CHECKING:
    from pathlib import Path

    from store.workspace import Workspace


class CallLog:
    """The calls of one workspace; one engine at a time writes them."""

    def __init__(self, workspace: Workspace) -> None:
        self._path: Path = workspace.cache_folder / "judge.jsonl"
        self._replies = _replies(self._path)

    def reply_to(self, question_hash: str) -> str | None:
        """Return the reply to this request, None if it was never answered."""
        return self._replies.get(question_hash)

    def keep_reply(self, question_hash: str, reply: str) -> None:
        """Record a reply, so that the request is not sent again."""
        self._append({"request": question_hash, "reply": reply, "at": utc_now()})
        self._replies[question_hash] = reply

    def keep_failure(self, question_hash: str, failure: str) -> None:
        """Record that a request got no reply."""
        self._append({"request": question_hash, "failure": failure, "at": utc_now()})

    def _append(self, row: dict[str, str]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(row, ensure_ascii=False, sort_keys=True).encode("utf-8")
        with self._path.open("ab") as stream:
            # A crash may have left half a line: a new one never continues it.
            stream.write((b"\n" if _lacks_line_end(self._path) else b"") + line + b"\n")
            stream.flush()
            os.fsync(stream.fileno())


def _replies(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    found: dict[str, str] = {}
    for line in path.read_bytes().split(b"\n"):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and isinstance(row.get("request"), str) and isinstance(row.get("reply"), str):
            found[row["request"]] = row["reply"]
    return found


def _lacks_line_end(path: Path) -> bool:
    if path.stat().st_size == 0:
        return False
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) != b"\n"
