"""What rounds came to, as plain data: the last word of a run, and the result of a request for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from store.records import Round


def run_result(finished: Sequence[Round]) -> dict[str, Any]:
    """Return number, policy and summary of each finished round, and whether all was refused or an alarm was raised.

    `alarming` is true where a round raised an alarm, or accepted nothing because one stood.
    """
    summaries = [
        {"number": one.number, "new_policy_version": one.new_policy_version, **(one.summary or {})} for one in finished
    ]
    all_refused = bool(summaries) and all(one["candidates"] == one["refused"] for one in summaries)
    alarming = any(one.get("alarms") or (one.get("acceptance") or {}).get("alarms") for one in summaries)
    return {"rounds": summaries, "all_refused": all_refused, "alarming": alarming}
