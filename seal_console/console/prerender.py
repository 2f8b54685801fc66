"""Prepares the screens in advance: loaded, filled, laid out and drawn, so that the first switch to a screen is as fast
as later ones.

It works in small steps while no key comes; a key waits for the current step only, some 10 ms. A screen that is opened
before its turn is built at once.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from textual.geometry import Region

from seal_console.console import gc_tuning as garbage
from seal_console.console.screens.base import SealScreen
from seal_console.console.screens.catalogue import MODES, load_screen

if TYPE_CHECKING:
    from seal_console.console.console_base import ConsoleBase

_QUIET_S = 0.05
_BETWEEN_STEPS_S = 0.003  # time to start the action of a key
_ASKED_AGAIN_S = 0.02
_STEP_S = 0.005
_MOST_LAYOUTS = 4


async def prepare_screens(app: ConsoleBase) -> None:
    """Prepare every screen, then exempt its objects from garbage collection."""
    screens = []
    for name in MODES:
        await asyncio.to_thread(load_screen, name)
        await _quiet(app)
        if not app.is_running:
            return
        await app._init_mode(name)  # noqa: SLF001 - as switch_mode does first; an existing screen is kept
        screen = app._screen_stacks[name][0]  # noqa: SLF001
        if isinstance(screen, SealScreen):
            await _lay_out(app, screen)
            screens.append(screen)
    for screen in screens:
        await _lay_out(app, screen)  # again: texts about the rows under the cursors have arrived
        await _draw(app, screen)
    garbage.begin()


async def _quiet(app: ConsoleBase) -> None:
    """Let others run, and wait until no key has come for a while."""
    await asyncio.sleep(_BETWEEN_STEPS_S)
    while app.is_running and time.monotonic() < app.last_input + _QUIET_S:
        await asyncio.sleep(_ASKED_AGAIN_S)


async def _lay_out(app: ConsoleBase, screen: SealScreen) -> None:
    """Do what Textual does when a screen is first shown; widgets that learn their size may request another layout."""
    while app.is_running and not screen.was_loaded:
        await asyncio.sleep(_ASKED_AGAIN_S)
    if not screen.is_current:
        screen.query("ToastRack").set(display=False)  # else Textual does so at the first visit, with another layout
        screen._update_timer.resume()  # noqa: SLF001 - else its first tick is a sixtieth of a second late
    for _ in range(_MOST_LAYOUTS):
        await _quiet(app)
        if not app.is_running or screen.is_current:
            return
        screen._layout_required = False  # noqa: SLF001
        screen._refresh_layout(app.size)  # noqa: SLF001
        await _quiet(app)
        if not screen._layout_required:  # noqa: SLF001
            return


async def _draw(app: ConsoleBase, screen: SealScreen) -> None:
    """Let each widget draw and cache its lines, then compose them."""
    rest_at = 0.0
    for widget, (region, _) in list(screen._compositor.visible_widgets.items()):  # noqa: SLF001
        if time.monotonic() >= rest_at:
            await _quiet(app)
            rest_at = time.monotonic() + _STEP_S
        if not app.is_running or screen.is_current:
            return
        if widget.is_attached:
            widget.render_lines(Region(0, 0, region.width, region.height))
    await _quiet(app)
    if app.is_running and not screen.is_current:
        # The result is discarded, but its parts are cached and the screen no longer counts as changed: otherwise the
        # first visit would draw it twice.
        whole = screen._compositor.render_full_update()  # noqa: SLF001
        screen._dirty_widgets.clear()  # noqa: SLF001
        await _quiet(app)
        whole.render_segments(app.console)
