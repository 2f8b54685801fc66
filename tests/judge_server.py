"""A judge on this machine for tests: a real HTTP server on the loopback interface that replies as it is told."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ALLOWED = json.dumps({"allowed": True, "rule": "", "reason": "It keeps to the document."})
NOT_ALLOWED = json.dumps({"allowed": False, "rule": "No prices", "reason": "It names a price."})


def completion(content: object) -> bytes:
    """The body of a chat completion whose only choice says `content`."""
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]}).encode()


@dataclass
class LocalJudge:
    """What the server replies (each reply once, the last for ever), and what it was asked.

    With `answer` the reply follows from the request. With `together` nobody is answered before so many have asked.
    """

    url: str = ""
    replies: list[tuple[int, bytes]] = field(default_factory=lambda: [(200, completion(ALLOWED))])
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)
    waits: bool = False
    together: threading.Barrier | None = None
    answer: Callable[[dict[str, Any]], object] | None = None

    def says(self, *contents: object) -> None:
        """Reply with these contents from now on."""
        self.replies = [(200, completion(content)) for content in contents]

    def next_reply(self) -> tuple[int, bytes]:
        """The reply whose turn it is."""
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@contextmanager
def local_judge() -> Iterator[LocalJudge]:
    """Serve until the block ends."""
    judge = LocalJudge()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            judge.requests.append(request)
            judge.headers.append({name.lower(): value for name, value in self.headers.items()})
            if judge.waits:
                judge.release.wait(timeout=60)
            if judge.together is not None:
                judge.together.wait(timeout=60)
            status, reply = (200, completion(judge.answer(request))) if judge.answer else judge.next_reply()
            try:
                self.send_response(status)
                self.send_header("location", "http://127.0.0.1:9/elsewhere")
                self.send_header("content-length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)
            except OSError:
                return  # whoever asked has given up

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    judge.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield judge
    finally:
        judge.release.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=30)
