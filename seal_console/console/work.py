"""Work beside the keys: a coroutine that is begun only when its turn comes, so one overtaken leaves nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from textual.css.query import NoMatches

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from textual.dom import DOMNode


def begin(
    node: DOMNode, work: Callable[[], Coroutine[Any, Any, object]], *, group: str, exclusive: bool = True
) -> None:
    """Run `work` beside the keys; an exclusive one takes the place of the one in its group that still runs."""

    async def unless_taken_down() -> None:
        try:
            await work()
        except NoMatches:
            if node.is_attached and node.app.is_running:
                raise  # else its widgets went while it read: nobody sees what it would have shown

    node.run_worker(cast("Any", unless_taken_down), group=group, exclusive=exclusive)
