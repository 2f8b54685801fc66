"""One page in a headless Chromium, driven through the DevTools protocol; it reaches nothing but this machine."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import subprocess
import time
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

WITHIN_S = 60.0
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# The page keeps its terminal to itself; this catches the object that holds it as it is made.
_CATCH_THE_TERMINAL = """
Object.defineProperty(Object.prototype, "fitAddon", {configurable: true, set(addon) {
  Object.defineProperty(this, "fitAddon", {value: addon, writable: true});
  window.holdsTheTerminal = this;
}});
"""
_READ_THE_TERMINAL = """(() => {
  const terminal = window.holdsTheTerminal && window.holdsTheTerminal.terminal;
  if (!terminal) return "";
  const buffer = terminal.buffer.active, lines = [];
  for (let y = 0; y < terminal.rows; y++) {
    lines.push(buffer.getLine(y).translateToString(true, 0, terminal.cols));
  }
  return lines.join("\\n");
})()"""
_CODES = {"\r": ("Enter", 13), "\x1b": ("Escape", 27)}


def find_browser() -> str | None:
    """Return the path of a Chromium on this machine, None where there is none."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


class Page:
    """The page, what is on the terminal in it, and the addresses that it asked for."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = count(1)
        self._asked_for: dict[str, str] = {}

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result; what the page asks for meanwhile is noted."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json(timeout=WITHIN_S)
            self._note(message.get("method", ""), message.get("params", {}))
            if message.get("id") == number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result

    @property
    def asked_for(self) -> list[str]:
        """The addresses that were asked for; without those to which the page's own policy let nothing be sent."""
        return list(self._asked_for.values())

    async def open(self, url: str) -> None:
        """Go to an address."""
        await self.call("Network.enable")
        await self.call("Page.enable")
        await self.call("Page.addScriptToEvaluateOnNewDocument", source=_CATCH_THE_TERMINAL)
        await self.call("Page.navigate", url=url)

    async def terminal_text(self) -> str:
        """Return what the terminal in the page shows."""
        evaluated = await self.call("Runtime.evaluate", expression=_READ_THE_TERMINAL, returnByValue=True)
        return str(evaluated["result"].get("value", ""))

    async def until(self, *words: str) -> str:
        """Wait until the terminal shows all of these words; return all that it shows."""
        deadline = time.monotonic() + WITHIN_S
        text = await self.terminal_text()
        while not all(word in text for word in words):
            assert time.monotonic() < deadline, f"{words} did not come:\n{text}"
            await asyncio.sleep(0.05)
            text = await self.terminal_text()
        return text

    async def until_true(self, holds: Callable[[], bool]) -> None:
        """Wait until something outside the page holds."""
        deadline = time.monotonic() + WITHIN_S
        while not holds():
            assert time.monotonic() < deadline, await self.terminal_text()
            await asyncio.sleep(0.05)

    async def type(self, text: str) -> None:
        """Press the keys of a text; "\\r" is enter, "\\x1b" escape."""
        for character in text:
            key, code = _CODES.get(character, (character, ord(character.upper())))
            typed = {} if character == "\x1b" else {"text": character}
            await self._press(key, code, **typed)

    async def press_with_control(self, letter: str) -> None:
        """Press a letter with the control key."""
        await self._press(letter, ord(letter.upper()), modifiers=2)

    async def click(self, x: float, y: float) -> None:
        """Click at a place of the page, in pixels."""
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def resize(self, width: int, height: int) -> None:
        """Make the window another size, in pixels."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    async def picture(self) -> bytes:
        """Return the page as it is drawn, as PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"])

    def _note(self, event: str, facts: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            self._asked_for[facts["requestId"]] = facts["request"]["url"]
        elif event == "Network.loadingFailed" and facts.get("blockedReason") == "csp":
            self._asked_for.pop(facts["requestId"], None)

    async def _press(self, key: str, code: int, **more: Any) -> None:
        for kind in ("keyDown", "keyUp"):
            of_kind = {name: value for name, value in more.items() if kind == "keyDown" or name != "text"}
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **of_kind)


@asynccontextmanager
async def browser_page(browser: str, profile: Path, size: tuple[int, int] = (1280, 800)) -> AsyncIterator[Page]:
    """Start the browser with an empty profile, and give its page; end it with all that it started."""
    process = subprocess.Popen(
        [browser, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile}", "--no-first-run",
         "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--hide-scrollbars",
         f"--window-size={size[0]},{size[1]}", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
         *(["--no-sandbox"] if os.geteuid() == 0 else []), "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with aiohttp.ClientSession() as session:
            port = await _debugging_port(profile, process)
            async with session.get(f"http://127.0.0.1:{port}/json/list") as response:
                pages = [one for one in await response.json() if one["type"] == "page"]
            async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                yield page
                with suppress(TypeError, aiohttp.ClientError):  # it may be gone before it has answered
                    await page.call("Browser.close")
    finally:
        process.terminate()
        process.wait(WITHIN_S)


async def _debugging_port(profile: Path, process: subprocess.Popen[bytes]) -> int:
    path = profile / "DevToolsActivePort"
    deadline = time.monotonic() + WITHIN_S
    while not (path.is_file() and len(lines := path.read_text(encoding="utf-8").splitlines()) > 1):
        assert process.poll() is None, f"the browser ended with {process.returncode}"
        assert time.monotonic() < deadline, "the browser did not begin"
        await asyncio.sleep(0.05)
    return int(lines[0])
