from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.loop.round_setup import choose_tasks
from store.records import Task


def _tasks(count: int) -> list[Task]:
    return [Task(f"sha256:{number:04d}", f"t{number}", "c", "s", "2026-01-01T00:00:00.000Z") for number in range(count)]


@given(
    count=st.integers(1, 40),
    seed=st.integers(0, 5),
    number=st.integers(1, 6),
    per_round=st.integers(1, 50),
    held_out=st.integers(0, 30),
)
def test_held_out_tasks_are_never_trained_on(count: int, seed: int, number: int, per_round: int, held_out: int) -> None:
    options = {"seed": seed, "tasks_per_round": per_round, "held_out_tasks": held_out}
    chosen = choose_tasks(_tasks(count), round_number=number, **options)
    train, kept_out = ({task.id for task in part} for part in (chosen.train, chosen.held_out))
    assert not train & kept_out
    assert len(kept_out) == min(held_out, count // 3)
    assert len(train) == min(per_round, count - len(kept_out))
    assert choose_tasks(list(reversed(_tasks(count))), round_number=number, **options) == chosen
    later = choose_tasks(_tasks(count), round_number=number + 1, **options)
    assert later.held_out == chosen.held_out


def test_rounds_walk_through_all_training_tasks() -> None:
    seen = set()
    for number in range(1, 5):
        chosen = choose_tasks(_tasks(20), seed=0, round_number=number, tasks_per_round=4, held_out_tasks=4)
        seen |= {task.id for task in chosen.train}
    assert len(seen) == 16


def test_another_seed_holds_out_other_tasks() -> None:
    chosen = [
        choose_tasks(_tasks(30), seed=seed, round_number=1, tasks_per_round=9, held_out_tasks=5) for seed in range(4)
    ]
    assert len({tuple(task.id for task in one.held_out) for one in chosen}) > 1
