from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.bank.job import FailedUpdate, InnerJob, Recipe, Schedule, TrainingSequence, rate_at, training_order
from engine.bank.training import InnerUpdateBank
from engine.lora.adapter import Adapter, LoraSpec
from store.errors import SealError
from tests.peft_alone import distance, random_job, relative_gap, tiny_base, tiny_spec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.model.base import BaseModel

TOLERANCE = 1e-3  # of the way that training went


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return tiny_base("qwen2")


@pytest.fixture(scope="module")
def spec(base: BaseModel) -> LoraSpec:
    return tiny_spec(base)


def jobs_of(spec: LoraSpec, steps: list[int]) -> list[InnerJob]:
    return [random_job(f"job {i}", spec, Recipe(epochs=count, learning_rate=3e-3), 1) for i, count in enumerate(steps)]


def test_a_slot_that_finishes_takes_the_next_job(base: BaseModel, spec: LoraSpec) -> None:
    bank, busy = InnerUpdateBank(base, spec, 3), list[int]()
    results = list(bank.train(iter(jobs_of(spec, [5, 1, 2, 3, 1, 4])), on_tick=busy.append))
    # Slot 1: 5 steps; slot 2: 1, 3, 4 (ends at 8); slot 3: 2, 1 (ends at 4), as each becomes free.
    assert sorted(result.key for result in results) == [f"job {i}" for i in range(6)]
    assert sum(busy) == 16
    assert busy[:4] == [3, 3, 3, 3]
    assert min(busy) >= 1
    assert len(busy) < 16 - 6
    statistics = bank.statistics
    assert (statistics.ticks, statistics.slot_steps, statistics.capacity) == (len(busy), 16, 3 * len(busy))
    assert statistics.busy_share == pytest.approx(16 / (3 * len(busy)))
    assert (
        statistics.input_tokens == sum(result.tokens for result in results) - 16
    )  # the last token of each sequence is not


def test_an_iterator_of_jobs_is_drawn_from_only_as_slots_become_free(base: BaseModel, spec: LoraSpec) -> None:
    drawn = list[str]()

    def jobs() -> Iterator[InnerJob]:
        for job in jobs_of(spec, [1, 3, 1, 1]):
            drawn.append(job.key)
            yield job

    bank = InnerUpdateBank(base, spec, 2)
    seen = [(result.key, len(drawn)) for result in bank.train(jobs())]
    assert seen[0][0] == "job 0"
    assert [count for _, count in seen] == [3, 4, 4, 4]


def test_an_adapter_depends_neither_on_its_neighbours_nor_on_the_number_of_slots(
    base: BaseModel, spec: LoraSpec
) -> None:
    recipes = [Recipe(epochs=1 + i % 3, learning_rate=3e-3, batch_size=1 + i % 2) for i in range(5)]
    jobs = [random_job(f"job {i}", spec, recipe, 2 + i, acting=i == 2) for i, recipe in enumerate(recipes)]
    starts = {job.key: job.start for job in jobs}
    reference = {result.key: result for result in InnerUpdateBank(base, spec, 1).train(jobs)}
    for slots, ordered in ((2, jobs), (3, jobs[::-1]), (5, [*jobs[2:], *jobs[:2]])):
        for result in InnerUpdateBank(base, spec, slots).train(ordered):
            assert relative_gap(result.adapter, reference[result.key].adapter, starts[result.key]) < TOLERANCE
            assert result.losses == pytest.approx(reference[result.key].losses, abs=1e-4)
            assert (result.steps, result.tokens) == (reference[result.key].steps, reference[result.key].tokens)


def test_a_bank_used_twice_gives_the_same_bytes(base: BaseModel, spec: LoraSpec) -> None:
    bank, jobs = InnerUpdateBank(base, spec, 2), jobs_of(spec, [4, 2, 3])
    first = {result.key: result.adapter for result in bank.train(jobs)}
    second = {result.key: result.adapter for result in bank.train(jobs)}
    assert all(distance(first[key], second[key]) == 0.0 for key in first)


def test_a_loss_that_is_no_longer_finite_names_its_own_job_and_harms_no_other(base: BaseModel, spec: LoraSpec) -> None:
    good = random_job("the good one", spec, Recipe(epochs=4, learning_rate=3e-3), 3)
    bad = random_job("the bad one", spec, Recipe(epochs=9, learning_rate=1e38, schedule="constant"), 2)
    (alone,) = InnerUpdateBank(base, spec, 1).train([good])
    for jobs in ([good, bad], [bad, good]):
        found = list[Adapter]()
        with pytest.raises(SealError, match="inner update the bad one: the loss is no longer finite") as caught:
            found += (result.adapter for result in InnerUpdateBank(base, spec, 2).train(jobs))
        assert "learning_rate" in caught.value.next_step
        assert len(found) <= 1
        assert all(relative_gap(adapter, alone.adapter, good.start) < TOLERANCE for adapter in found)


def test_a_failed_job_is_passed_on_and_the_others_finish(base: BaseModel, spec: LoraSpec) -> None:
    good = [random_job(f"good {place}", spec, Recipe(epochs=4, learning_rate=3e-3), 3) for place in range(3)]
    bad = random_job("the bad one", spec, Recipe(epochs=9, learning_rate=1e38, schedule="constant"), 2)
    alone = {one.key: one.adapter for job in good for one in InnerUpdateBank(base, spec, 1).train([job])}
    failed = list[FailedUpdate]()
    for jobs in ([*good, bad], [bad, *good]):
        for slots in (1, 2):
            found = list(InnerUpdateBank(base, spec, slots).train(jobs, on_failed=failed.append))
            assert {one.key for one in found} == {job.key for job in good}
            assert all(relative_gap(one.adapter, alone[one.key], good[0].start) < TOLERANCE for one in found)
    assert [(one.key, one.steps) for one in failed] == [("the bad one", 18)] * 4
    assert all(one.bad_step is not None and one.bad_step > 1 and one.last_loss is not None for one in failed)


def test_a_start_that_is_not_finite_is_an_error_too(base: BaseModel, spec: LoraSpec) -> None:
    job = random_job("job 1", spec, Recipe(epochs=1), 1)
    job.start.weights[spec.targets[0].module][0][0, 0] = math.nan
    with pytest.raises(SealError, match=r"inner update job 1: .* no longer finite"):
        list(InnerUpdateBank(base, spec, 2).train([job]))


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ((), "there is nothing to train on"),
        (
            (TrainingSequence((5, 6)), TrainingSequence(tuple(range(2, 259)))),
            "sequence 1 has 257 tokens.* window has 256",
        ),
        ((TrainingSequence(()),), "sequence 0 has no token to learn"),
        ((TrainingSequence((5,)),), "sequence 0 has no token to learn"),
        ((TrainingSequence((5, 6, 7), loss_start=3),), "sequence 0 has no token to learn"),
    ],
)
def test_sequences_that_cannot_be_trained_on_are_refused(
    base: BaseModel, spec: LoraSpec, sequences: tuple[TrainingSequence, ...], message: str
) -> None:
    job = replace(random_job("the job", spec, Recipe(), 1), sequences=sequences)
    with pytest.raises(SealError, match=f"inner update the job: {message}"):
        next(InnerUpdateBank(base, spec, 2).train([job]))


def test_a_sequence_as_long_as_the_window_trains(base: BaseModel, spec: LoraSpec) -> None:
    job = replace(
        random_job("job", spec, Recipe(epochs=1), 1), sequences=(TrainingSequence((5,) * 256), TrainingSequence((5, 6)))
    )
    (result,) = InnerUpdateBank(base, spec, 2).train([job])
    assert result.tokens == 258


def test_an_adapter_of_another_shape_is_refused(base: BaseModel, spec: LoraSpec) -> None:
    job = random_job("the job", tiny_spec(base, rank=2), Recipe(), 1)
    with pytest.raises(SealError, match="inner update the job: its adapter and the bank have different shapes"):
        next(InnerUpdateBank(base, spec, 2).train([job]))


def job_of(sequences: int, batch_size: int, epochs: int, seed: int) -> InnerJob:
    data = (TrainingSequence((5, 6)),) * sequences
    recipe = Recipe(epochs=epochs, batch_size=batch_size)
    return InnerJob("job", data, recipe, seed, Adapter(LoraSpec(1, 1.0, ()), {}))


@given(st.integers(1, 12), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**31))
def test_every_epoch_is_a_permutation_cut_into_batches(sequences: int, size: int, epochs: int, seed: int) -> None:
    job = job_of(sequences, size, epochs, seed)
    order = training_order(job)
    assert order == training_order(job)
    assert len(order) == job.steps
    per_epoch = len(order) // epochs
    for start in range(0, len(order), per_epoch):
        batches = order[start : start + per_epoch]
        assert sorted(index for batch in batches for index in batch) == list(range(sequences))
        assert all(len(batch) == size for batch in batches[:-1])
        assert 1 <= len(batches[-1]) <= size


def test_epochs_and_seeds_differ_in_order() -> None:
    orders = [training_order(job_of(20, 20, 2, seed)) for seed in (1, 2)]
    assert len({tuple(batch) for order in orders for batch in order}) == 4


@given(st.integers(1, 400), st.sampled_from(["linear", "cosine", "constant"]), st.floats(1e-6, 1.0))
def test_rates_start_at_the_learning_rate_and_never_rise(steps: int, schedule: Schedule, rate: float) -> None:
    recipe = Recipe(learning_rate=rate, schedule=schedule)
    rates = [rate_at(step, steps, recipe) for step in range(steps + 1)]
    assert rates[0] == rate
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates))
    assert rates[-1] == pytest.approx(rate if schedule == "constant" else 0.0, abs=1e-12)
    assert min(rates[:-1]) > 0.0
    middle = {"linear": 0.75, "cosine": 0.5 + 0.25 * math.sqrt(2.0), "constant": 1.0}[schedule]
    assert rate_at(25, 100, recipe) == pytest.approx(rate * middle)
