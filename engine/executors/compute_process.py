"""A compute process of an executor: `python -P -m engine.executors.compute_process SOCKET WEIGHTS`, two descriptors.

It works with one thread, on what it is sent, and has nothing that could be lost: the executor kills it when it is no
longer needed. It ignores Ctrl+C and SIGTERM, which often reach a whole group; the executor's process decides. When that
is gone, the socket ends, and so does this process, in the middle of whatever it computes.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from multiprocessing.connection import Connection
from queue import SimpleQueue

from engine.runtime.tuning import keep_freed_memory

_ARGUMENTS = 2


def main(arguments: list[str]) -> None:
    """Work until the socket ends."""
    socket, weights = (int(one) for one in arguments[:_ARGUMENTS])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    keep_freed_memory()
    warnings.filterwarnings("ignore", category=FutureWarning)
    connection, inbox = Connection(socket), SimpleQueue[bytes]()
    threading.Thread(target=_listen, args=(connection, inbox), daemon=True).start()
    # Importing torch takes seconds, in which the end of the executor's process must be heard.
    import torch  # noqa: PLC0415

    from engine.executors.compute_loop import ComputeLoop  # noqa: PLC0415
    from engine.executors.shared_base import map_base  # noqa: PLC0415

    torch.set_num_threads(1)
    base = map_base(inbox.get(), weights)
    os.close(weights)
    ComputeLoop(base, connection, inbox).work()


def _listen(connection: Connection, inbox: SimpleQueue[bytes]) -> None:
    try:
        while True:
            inbox.put(connection.recv_bytes())
    except (EOFError, OSError):
        os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
