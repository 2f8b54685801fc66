"""Several processes give what one process with one thread gives: the same adapters, texts, choices and divergences."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from engine.bank.job import FailedUpdate, InnerJob, Recipe, RunningUpdate
from engine.executors.local import LocalExecutor
from engine.executors.process_pool import ProcessPool
from engine.executors.processes import ProcessExecutor
from engine.generation.prompts import BatchSize, ChoicePrompt, TextPrompt
from engine.generation.sampling import Sampling
from engine.model.base import BaseModel, load_base
from store.errors import SealError, WrongUseError
from tests.peft_alone import acting_adapter, random_job, relative_gap, tiny_spec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.bank.job import InnerResult
    from engine.lora.adapter import Adapter, LoraSpec

TOLERANCE = 1e-3  # of the way that training went: what shares a batch changes the rounding


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return load_base("bundled")


@pytest.fixture(scope="module")
def spec(base: BaseModel) -> LoraSpec:
    return tiny_spec(base)


@pytest.fixture(scope="module")
def pool(base: BaseModel) -> Iterator[ProcessPool]:
    with ProcessPool(base, 2) as opened:
        yield opened


@pytest.fixture(scope="module")
def processes(base: BaseModel, pool: ProcessPool) -> ProcessExecutor:
    return ProcessExecutor(base, pool, slots=4)


@pytest.fixture(scope="module")
def local(base: BaseModel) -> LocalExecutor:
    return LocalExecutor(base, slots=2)


def jobs_of(spec: LoraSpec, epochs: Sequence[int]) -> list[InnerJob]:
    return [
        random_job(f"job {at}", spec, Recipe(epochs=count, learning_rate=3e-3), 2) for at, count in enumerate(epochs)
    ]


def prompts_of(adapters: int, *, new_tokens: int = 6) -> list[TextPrompt]:
    texts = [f"Question: Where does the {thing} of {place} live?\nAnswer:" for thing in ("owner", "baker", "old king")
             for place in ("Arden", "the long road by the sea", "Miro")]  # fmt: skip
    return [
        TextPrompt(text, adapter, new_tokens, seed=at) for adapter in range(adapters) for at, text in enumerate(texts)
    ]


def assert_same(found: InnerResult, alone: InnerResult, start: Adapter) -> None:
    assert (found.key, found.seed, found.steps, found.tokens) == (alone.key, alone.seed, alone.steps, alone.tokens)
    assert found.losses == pytest.approx(alone.losses, rel=1e-3)
    assert relative_gap(found.adapter, alone.adapter, start) < TOLERANCE


def test_adapters_are_those_of_the_local_executor(
    processes: ProcessExecutor, local: LocalExecutor, spec: LoraSpec
) -> None:
    jobs = jobs_of(spec, [3, 1, 4, 1, 5, 2, 6, 2, 3])
    found = {result.key: result for result in processes.train(jobs, spec)}
    assert sorted(found) == sorted(job.key for job in jobs)
    starts = {job.key: job.start for job in jobs}
    for alone in local.train(jobs, spec):
        assert_same(found[alone.key], alone, starts[alone.key])


def test_the_same_arithmetic_gives_the_same_bits(base: BaseModel, spec: LoraSpec) -> None:
    jobs, prompts = jobs_of(spec, [2, 1, 2]), prompts_of(1)
    alone = LocalExecutor(base, slots=3)
    with ProcessPool(base, 1) as pool:
        one = ProcessExecutor(base, pool, slots=3)
        found = {result.key: result for result in one.train(jobs, spec)}
        expected = {result.key: result for result in alone.train(jobs, spec)}
        assert one.complete(prompts, [None]) == alone.complete(prompts, [None])
    for key, result in expected.items():
        assert found[key].losses == result.losses
        for name, (a, b) in result.adapter.weights.items():
            assert torch.equal(found[key].adapter.weights[name][0], a)
            assert torch.equal(found[key].adapter.weights[name][1], b)


@pytest.mark.parametrize("sampling", [None, Sampling(1.0, 0.9)])
@pytest.mark.parametrize("batch_size", ["auto", 3])
def test_texts_are_those_of_the_local_executor(
    processes: ProcessExecutor, local: LocalExecutor, spec: LoraSpec, sampling: Sampling | None, batch_size: BatchSize
) -> None:
    adapters = [None, acting_adapter(spec, 1), acting_adapter(spec, 2)]
    prompts = prompts_of(3)
    prompts[4] = replace(prompts[4], stop="end", max_new_tokens=12)
    prompts[7] = replace(prompts[7], raw=True, max_new_tokens=1)
    found = processes.complete(prompts, adapters, sampling=sampling, batch_size=batch_size)
    assert found == local.complete(prompts, adapters, sampling=sampling)
    assert len({one.text for one in found}) > 1


def test_a_text_does_not_depend_on_the_others(processes: ProcessExecutor) -> None:
    sampling, prompts = Sampling(1.0, 0.95), prompts_of(1, new_tokens=12)
    together = processes.complete(prompts, [None], sampling=sampling)
    assert [processes.complete([one], [None], sampling=sampling)[0] for one in prompts] == together


def test_choices_are_those_of_the_local_executor(
    processes: ProcessExecutor, local: LocalExecutor, spec: LoraSpec
) -> None:
    adapters = [None, acting_adapter(spec, 1)]
    options = ("yes", "no", "the old mill", "a red house by the sea")
    prompts = [ChoicePrompt(one.text, options, " ", per_character=at % 2 == 0, adapter=at % 2, place=f"prompt {at}")
               for at, one in enumerate(prompts_of(2))]  # fmt: skip
    assert processes.choose(prompts, adapters) == local.choose(prompts, adapters)


def test_divergences_are_those_of_the_local_executor(
    processes: ProcessExecutor, local: LocalExecutor, spec: LoraSpec
) -> None:
    adapters = [acting_adapter(spec, 1), None, acting_adapter(spec, 2)]
    texts = ["", *(one.text for one in prompts_of(1)), "Water boils."]
    for mine, alone in zip(
        processes.measure_divergence(texts, adapters), local.measure_divergence(texts, adapters), strict=True
    ):
        assert mine.tokens == alone.tokens
        assert mine.mean_kl == pytest.approx(alone.mean_kl, rel=1e-4, abs=1e-9)
        assert mine.worst_kl == pytest.approx(alone.worst_kl, rel=1e-4, abs=1e-9)


def test_nothing_to_do_is_no_error(processes: ProcessExecutor, spec: LoraSpec) -> None:
    assert list(processes.train([], spec)) == []
    assert processes.complete([], []) == []
    assert processes.choose([], []) == []
    with pytest.raises(WrongUseError, match="no token"):
        processes.measure_divergence(["", ""], [None])


def test_what_is_wrong_with_a_prompt_is_said_as_it_is_without_processes(
    processes: ProcessExecutor, local: LocalExecutor
) -> None:
    prompts = [*prompts_of(1), TextPrompt("word " * 3000, 0, 4)]
    messages = []
    for executor in (processes, local):
        with pytest.raises(WrongUseError) as raised:
            executor.complete(prompts, [None])
        messages.append((raised.value.message, raised.value.next_step))
    assert messages[0] == messages[1]
    assert len(processes.complete(prompts_of(1), [None])) == len(prompts_of(1))


def test_failed_updates_are_passed_on_and_the_others_are_trained(processes: ProcessExecutor, spec: LoraSpec) -> None:
    jobs = jobs_of(spec, [3, 3, 3, 3, 3, 3])
    for place in (1, 4):
        jobs[place] = replace(jobs[place], recipe=Recipe(epochs=3, learning_rate=1e38))
    failed = list[FailedUpdate]()
    found = [result.key for result in processes.train(jobs, spec, on_failed=failed.append)]
    assert sorted(found) == ["job 0", "job 2", "job 3", "job 5"]
    assert sorted(one.key for one in failed) == ["job 1", "job 4"]
    with pytest.raises(SealError, match=r"inner update job [14]: the loss is no longer finite"):
        list(processes.train(jobs, spec))


def test_a_job_that_cannot_be_trained_names_itself(processes: ProcessExecutor, spec: LoraSpec) -> None:
    jobs = jobs_of(spec, [1, 1, 1])
    jobs[2] = replace(jobs[2], sequences=())
    with pytest.raises(SealError, match="inner update job 2: there is nothing to train on"):
        list(processes.train(jobs, spec))


def test_what_is_training_is_reported_with_slots_of_its_own(processes: ProcessExecutor, spec: LoraSpec) -> None:
    shown = list[list[RunningUpdate]]()
    jobs = jobs_of(spec, [150, 150, 150, 150])
    assert len(list(processes.train(jobs, spec, on_running=shown.append))) == 4
    assert all(len({one.slot for one in updates}) == len(updates) for updates in shown)
    assert {one.slot for updates in shown for one in updates} == {0, 1, 2, 3}


def test_prompts_are_answered_while_updates_train(
    processes: ProcessExecutor, local: LocalExecutor, spec: LoraSpec
) -> None:
    expected = local.complete(prompts_of(1), [None])
    for done, _ in enumerate(processes.train(jobs_of(spec, [30, 30, 5, 5, 20, 8]), spec)):
        assert processes.complete(prompts_of(1), [None]) == expected
        if done == 0:
            assert len(list(processes.train(jobs_of(spec, [1, 1]), spec))) == 2
    assert done == 5


def test_closing_the_iterator_stops_the_work(processes: ProcessExecutor, pool: ProcessPool, spec: LoraSpec) -> None:
    before = pool.process_ids
    results = processes.train(jobs_of(spec, [1, 200_000, 200_000]), spec)
    assert next(results).key == "job 0"
    results.close()
    assert len(list(processes.train(jobs_of(spec, [1, 1]), spec))) == 2
    assert pool.process_ids == before


def test_little_work_starts_no_process(base: BaseModel, local: LocalExecutor, spec: LoraSpec) -> None:
    with ProcessPool(base, 2, least_work=1e12) as pool:
        executor = ProcessExecutor(base, pool)
        assert executor.complete(prompts_of(1), [None]) == local.complete(prompts_of(1), [None])
        assert len(list(executor.train(jobs_of(spec, [1]), spec))) == 1
        assert pool.process_ids == []
        assert pool.is_worth(1e12)
