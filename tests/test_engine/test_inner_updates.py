"""What a bank tells of updates that are not finished."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.bank.job import InnerJob, Recipe, RunningUpdate, spread_points
from engine.bank.training import InnerUpdateBank
from tests.peft_alone import random_job, tiny_base, tiny_spec


@given(st.integers(0, 500), st.integers(2, 60))
def test_points_are_few_and_spread_from_first_to_last(count: int, most: int) -> None:
    points = spread_points(count, most)
    assert len(points) == min(count, most)
    assert points == sorted(set(points))
    if count:
        assert (points[0], points[-1]) == (0, count - 1)
    gaps = {later - earlier for earlier, later in itertools.pairwise(points)}
    assert not gaps or max(gaps) - min(gaps) <= 1


def test_running_updates_report_the_losses_of_the_results() -> None:
    base = tiny_base("qwen2")
    spec = tiny_spec(base)
    jobs: list[InnerJob] = [random_job(f"job {n}", spec, Recipe(epochs=steps), 1) for n, steps in enumerate((6, 3, 2))]
    bank, told = InnerUpdateBank(base, spec, 2), list[list[RunningUpdate]]()
    assert bank.running() == []
    results = {result.key: result for result in bank.train(jobs, on_tick=lambda _: told.append(bank.running(points=4)))}
    assert [[(one.key, one.slot, one.step, one.steps) for one in tick] for tick in told[:4]] == [
        [("job 0", 0, 1, 6), ("job 1", 1, 1, 3)],
        [("job 0", 0, 2, 6), ("job 1", 1, 2, 3)],
        [("job 0", 0, 3, 6), ("job 1", 1, 3, 3)],
        [("job 0", 0, 4, 6), ("job 2", 1, 1, 2)],
    ]
    for tick in told:
        for one in tick:
            so_far = results[one.key].losses[: one.step]
            assert one.losses == pytest.approx([so_far[at] for at in spread_points(one.step, 4)])
    assert bank.running() == []


def test_a_loss_that_is_no_number_is_left_out() -> None:
    base = tiny_base("qwen2")
    spec = tiny_spec(base)
    bank, told = InnerUpdateBank(base, spec, 1), list[list[float]]()

    def spoil(_: int) -> None:
        [running] = bank._active
        running.losses[0] = torch.tensor(float("nan"))
        told.append(bank.running()[0].losses)
        running.losses[0] = torch.tensor(1.0)

    list(bank.train([random_job("job", spec, Recipe(epochs=3), 1)], on_tick=spoil))
    assert [len(losses) for losses in told] == [0, 1, 2]
