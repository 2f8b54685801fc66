from __future__ import annotations

from typing import TYPE_CHECKING

from engine.bank.auto import auto_slots
from tests.peft_alone import tiny_base, tiny_spec

if TYPE_CHECKING:
    import pytest


def test_auto_slots_are_bounded_by_speed_and_by_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    base = tiny_base("qwen2")
    spec = tiny_spec(base)
    assert auto_slots(base, spec) == 32
    for memory, slots in ((6 * 4 * spec.parameters * 4 * 3, 3), (1, 1)):
        monkeypatch.setattr("engine.bank.auto._memory_bytes", lambda _, memory=memory: memory)
        assert auto_slots(base, spec) == slots
