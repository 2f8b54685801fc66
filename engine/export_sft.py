"""Training rows for the policy: the prompt and the self-edit of each selected candidate, as SEAL publishes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.selection import Selection
    from store.records import Candidate


def sft_rows(candidates: Iterable[Candidate], selection: Selection) -> list[dict[str, str]]:
    """Return {"prompt", "completion"} rows in the order of the selection.

    Completions are stripped and those that are blank give no row, both as in SEAL's script. Raises KeyError where a
    selected candidate is not among those given.
    """
    by_id = {candidate.id: candidate for candidate in candidates}
    chosen = [by_id[candidate_id] for candidate_id in selection.candidate_ids]
    return [
        {"prompt": candidate.prompt, "completion": candidate.completion.strip()}
        for candidate in chosen
        if candidate.completion.strip()
    ]
