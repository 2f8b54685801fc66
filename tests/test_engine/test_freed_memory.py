"""Memory that the engine frees and needs again in a moment."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from engine.runtime.tuning import keep_freed_memory

SAYS = """
import ctypes, sys
import engine.runtime.tuning as freed

class Counts(ctypes.Structure):
    _names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    _fields_ = [(name, ctypes.c_size_t) for name in _names]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Counts
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def of_its_own(size):
    before = libc.mallinfo2().hblks
    place = libc.malloc(size)
    found = libc.mallinfo2().hblks - before
    libc.free(place)
    return found

if sys.argv[1] == "kept":
    assert freed.keep_freed_memory()
heap = libc.mallinfo2().arena
print(of_its_own(16 * 2**20), of_its_own(2 * freed.LARGEST), libc.mallinfo2().arena - heap >= 16 * 2**20)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="another C library than glibc 2.33 or newer")
@pytest.mark.parametrize(("how", "expected"), [("plain", "1 1 False"), ("kept", "0 1 True")])
def test_what_a_step_frees_stays_in_the_heap_but_for_what_is_very_large(how: str, expected: str) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", SAYS, how], capture_output=True, text=True, check=False, timeout=60, env=environ
    )
    assert done.stdout.strip() == expected, done.stderr


@pytest.mark.parametrize(
    "environ", [{"MALLOC_TRIM_THRESHOLD_": "1"}, {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=1"}]
)
def test_what_the_user_set_stays(environ: dict[str, str]) -> None:
    assert not keep_freed_memory(environ)
