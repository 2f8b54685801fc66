"""Work beside the keys: a coroutine that is begun only when its turn comes, so one overtaken leaves nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from textual.dom import DOMNode


def begin(
    node: DOMNode, work: Callable[[], Coroutine[Any, Any, object]], *, group: str, exclusive: bool = True
) -> None:
    """Run `work` beside the keys; an exclusive one takes the place of the one in its group that still runs."""
    node.run_worker(cast("Any", work), group=group, exclusive=exclusive)
