"""Handles keys one after another: each has had its whole effect before the next one is looked at.

Textual sends a key to the focused field's queue and looks at the next one at once. If keys arrive in one burst, a key
of a dialog would overtake letters that still wait for the field, a deleted letter would be another one, and letters
after Enter would go to the field that was left. What a person typed, in this order, is what is stored.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.app import App
from textual.events import Event, InputEvent, Key, MouseMove, Paste

if TYPE_CHECKING:
    from textual.message_pump import MessagePump

_LONGEST_TURN_S = 1.0
# The first time through the queues, the key itself rises to the application; the second, what its action has posted.
_PASSES = 2


class OrderedInput(App[None]):
    """An application whose keys, pasted texts and clicks take turns.

    A turn ends when the queues from the focused widget up to the application have been worked off, or after a second,
    so that a handler that waits does not block the keyboard.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[Event] = deque()
        self._turn = 0
        self._busy = False
        self._time_limit: asyncio.TimerHandle | None = None

    async def on_event(self, event: Event) -> None:
        """Let keys, pasted texts and clicks wait for their turn."""
        takes_turns = isinstance(event, (InputEvent, Paste)) and not isinstance(event, MouseMove)
        if not takes_turns or event.is_forwarded:
            await super().on_event(event)
            return
        self._waiting.append(event)
        await self._handle_waiting()

    async def _handle_waiting(self) -> None:
        while self._waiting and not self._busy:
            event = self._waiting.popleft()
            if not isinstance(event, (Key, Paste)) or not self.screen_stack:
                await super().on_event(event)
                continue
            self._busy, self._turn = True, self._turn + 1
            first = self.focused or self.screen
            try:
                await super().on_event(event)
            finally:
                self._time_limit = asyncio.get_running_loop().call_later(_LONGEST_TURN_S, self._end_late, self._turn)
                self._follow(first, first, self._turn, _PASSES)

    def _follow(self, node: Any, first: MessagePump, turn: int, passes: int) -> None:
        """Go behind everything that waits in the queue of a widget, then in those of its ancestors."""
        while node is not self and node is not None:
            if node.call_later(self._follow, node._parent, first, turn, passes):  # noqa: SLF001
                return
            node = node._parent  # noqa: SLF001 - it is being removed
        again = partial(self._follow, first, first, turn, passes - 1)
        self.call_later(again if passes > 1 else partial(self._end, turn))

    def _end_late(self, turn: int) -> None:
        self.call_later(self._end, turn)

    async def _end(self, turn: int) -> None:
        if turn != self._turn or not self._busy:
            return
        self._busy = False
        if self._time_limit is not None:
            self._time_limit.cancel()
        await self._handle_waiting()
