"""Run by the crash tests in a process of its own: the engine's worker, which kills itself at a named call.

python dying_worker.py MODULE:NAME before|after NUMBER OPERATION: the call of that number is the last thing it does.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import Any

from engine.jobs.worker import main


def die_at(place: str, when: str, number: int) -> None:
    """Replace a function, where a module looks it up, by one that kills the process before or after it is called."""
    module_name, name = place.split(":")
    module = importlib.import_module(module_name)
    function = getattr(module, name)
    calls = [0]

    def dying(*arguments: Any, **keys: Any) -> Any:
        calls[0] += 1
        if calls[0] == number and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **keys)
        if calls[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(module, name, dying)


if __name__ == "__main__":
    die_at(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    sys.exit(main(sys.argv[4:]))
