"""Mixed-adapter generation gives what PEFT's own generation gives with each adapter alone."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import torch

from engine.generation.decoding import GenerationRequest, Limits, generate
from engine.generation.sampling import Sampling, choose_tokens, uniform_numbers
from store.errors import WrongUseError
from tests.peft_alone import acting_adapter, peft_model, tiny_base, tiny_spec
from tests.tiny_models import ARCHITECTURES, random_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from engine.lora.adapter import Adapter
    from engine.model.base import BaseModel

NEW_TOKENS = 12
STOPS = frozenset({0, *range(300, 400)})
CPU = torch.device("cpu")


def adapters_for(base: BaseModel) -> list[Adapter | None]:
    return [None, *(acting_adapter(tiny_spec(base), seed) for seed in range(3))]


def mixed_requests(count: int, adapters: int = 4, seed: int = 9) -> list[GenerationRequest]:
    rng = random.Random(seed)
    return [
        GenerationRequest(
            tuple(rng.randrange(2, 1100) for _ in range(rng.randint(1, 25))), rng.randrange(adapters), number
        )
        for number in range(count)
    ]


def before_stop(tokens: Sequence[int], stops: frozenset[int]) -> list[int]:
    ends = [place for place, token in enumerate(tokens) if token in stops]
    return list(tokens[: ends[0]] if ends else tokens)


@contextmanager
def rows_of_each_pass(base: BaseModel) -> Iterator[list[int]]:
    """Record how many rows each forward pass of the model works on."""
    rows = list[int]()

    def note(_: Any, __: Any, options: dict[str, Any]) -> None:
        rows.append(len(options["input_ids"]))

    handle = base.model.register_forward_pre_hook(note, with_kwargs=True)
    yield rows
    handle.remove()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_text_equals_that_of_peft_with_each_adapter_alone(architecture: str, tmp_path: Path) -> None:
    base = tiny_base(architecture)
    adapters, requests = adapters_for(base), mixed_requests(14)
    found = generate(base, adapters, requests, Limits(NEW_TOKENS, STOPS, rows_per_batch=6))
    alone = [
        random_model(architecture) if adapter is None else peft_model(architecture, adapter, tmp_path / str(number))
        for number, adapter in enumerate(adapters)
    ]
    for request, tokens in zip(requests, found, strict=True):
        prompt = torch.tensor([request.prompt])
        theirs = alone[request.adapter].generate(
            input_ids=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=NEW_TOKENS, do_sample=False,
            eos_token_id=sorted(STOPS), pad_token_id=1,
        )  # fmt: skip
        assert tokens == before_stop(theirs[0, len(request.prompt) :].tolist(), STOPS)
    assert len({tuple(tokens) for tokens in found}) > len(requests) // 2
    assert {len(tokens) < NEW_TOKENS for tokens in found} == {True, False}


def test_every_adapter_answers_one_prompt_in_its_own_way() -> None:
    base = tiny_base("llama")
    requests = [GenerationRequest((5, 6, 7), index) for index in range(4)]
    texts = generate(base, adapters_for(base), requests, Limits(8, frozenset()))
    assert len({tuple(text) for text in texts}) == 4
    assert {len(text) for text in texts} == {8}


@pytest.mark.parametrize("every", [1, 3])
def test_rows_that_have_ended_leave_the_batch(every: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.generation.decoding._STEPS_BETWEEN_CHECKS", {"cpu": every})
    base = tiny_base("qwen2")
    adapters, requests = adapters_for(base), mixed_requests(12)
    full = generate(base, adapters, requests, Limits(NEW_TOKENS, frozenset()))
    stops = frozenset(text[2] for text in full[::2])
    with rows_of_each_pass(base) as rows:
        texts = generate(base, adapters, requests, Limits(NEW_TOKENS, stops))
    assert texts == [before_stop(text, stops) for text in full]
    assert rows == sorted(rows, reverse=True)
    assert (rows[0], rows[-1] < 12 // 2 + 1) == (12, True)
    with rows_of_each_pass(base) as rows:
        generate(base, adapters, requests, Limits(NEW_TOKENS, frozenset(range(1125))))
    assert len(rows) <= every


def test_late_stop_tokens_count_from_the_second_place_on() -> None:
    base = tiny_base("gpt2")
    request = [GenerationRequest((5, 6, 7), 0)]
    ((first, second, *_),) = generate(base, [None], request, Limits(4, frozenset()))
    assert first != second
    assert generate(base, [None], request, Limits(4, frozenset({first}))) == [[]]
    late = Limits(4, frozenset(), late_stop_tokens=frozenset({first, second}))
    assert generate(base, [None], request, late) == [[first]]


def test_a_full_window_is_used_and_no_more() -> None:
    base = tiny_base("llama")
    ((*text,),) = generate(base, [None], [GenerationRequest((5,) * 250, 0)], Limits(6, frozenset()))
    assert len(text) == 6
    with pytest.raises(WrongUseError, match=r"prompt of 251 tokens leaves no room for 6 .*window of 256"):
        generate(base, [None], [GenerationRequest((5,), 0), GenerationRequest((5,) * 251, 0)], Limits(6, frozenset()))
    with pytest.raises(WrongUseError, match="empty prompt"):
        generate(base, [None], [GenerationRequest((), 0)], Limits(6, frozenset()))


def test_adapters_of_different_shapes_are_refused_in_one_batch() -> None:
    base = tiny_base("llama")
    adapters = [acting_adapter(tiny_spec(base, rank=rank), 0) for rank in (2, 4)]
    with pytest.raises(WrongUseError, match="different shapes"):
        generate(base, adapters, [GenerationRequest((5,), 0), GenerationRequest((5,), 1)], Limits(2, frozenset()))
    assert generate(base, adapters, [GenerationRequest((5,), 1)], Limits(2, frozenset()))


@pytest.mark.parametrize("architecture", ["qwen2", "gpt2"])
def test_a_sample_depends_on_its_own_seed_and_not_on_the_batch(architecture: str) -> None:
    base = tiny_base(architecture)
    adapters, requests, sampling = adapters_for(base), mixed_requests(10), Sampling(0.7, 0.9)
    texts = generate(base, adapters, requests, Limits(NEW_TOKENS, STOPS), sampling)
    for rows in (1, 3):
        assert generate(base, adapters, requests, Limits(NEW_TOKENS, STOPS, rows_per_batch=rows), sampling) == texts
    assert generate(base, adapters, requests[::-1], Limits(NEW_TOKENS, STOPS), sampling) == texts[::-1]
    assert texts != generate(base, adapters, requests, Limits(NEW_TOKENS, STOPS))
    one = requests[0]
    again = [GenerationRequest(one.prompt, one.adapter, seed) for seed in (one.seed, *range(50, 59))]
    sampled = generate(base, adapters, again, Limits(NEW_TOKENS, STOPS), sampling)
    assert sampled[0] == texts[0]
    assert len({tuple(text) for text in sampled}) > 5


def test_samples_follow_the_distribution_of_the_nucleus() -> None:
    draws = 4000
    probabilities = torch.tensor([0.1, 0.4, 0.05, 0.3, 0.15], dtype=torch.float64)
    logits = (probabilities.log() * 2.0).expand(draws, 5)
    for top_p, kept in ((1.0, [0, 1, 2, 3, 4]), (0.8, [1, 3, 4]), (0.3, [1])):
        tokens = choose_tokens(logits, Sampling(2.0, top_p), uniform_numbers([7], draws, CPU)[0])
        expected = torch.zeros(5, dtype=torch.float64)
        expected[kept] = probabilities[kept] / probabilities[kept].sum()
        found = torch.bincount(tokens, minlength=5) / draws
        assert float((found - expected).abs().max()) < 0.03
        assert set(tokens.tolist()) == set(kept)


def test_a_token_of_almost_equal_probability_cannot_trade_places() -> None:
    uniform = torch.linspace(0.001, 0.999, 99, dtype=torch.float64)
    logits = torch.tensor([1.0, 1.0, 1.0]).expand(99, 3)
    nudged = logits + torch.tensor([-1e-6, 1e-6, 0.0])
    choices = [choose_tokens(each, Sampling(1.0), uniform) for each in (logits, nudged)]
    assert torch.equal(*choices)


def test_uniform_numbers_depend_on_the_seed_alone() -> None:
    together = uniform_numbers([3, 4], 5, CPU)
    assert torch.equal(together[1:], uniform_numbers([4], 5, CPU))
    assert not torch.equal(together[0], together[1])
    assert torch.equal(together[:1, :2], uniform_numbers([3], 2, CPU))


def test_the_head_gets_rows_that_lie_together() -> None:
    """In bfloat16 a CPU multiplies rows that do not, or whose strides look so, one by one: 170 ms for each prompt."""
    base, strides = tiny_base("llama"), list[tuple[int, ...]]()
    head = base.model.get_output_embeddings()
    head.register_forward_pre_hook(lambda _, inputs: strides.append(inputs[0].stride()))
    for count in (1, 3):
        generate(base, [None], mixed_requests(count, adapters=1), Limits(2, frozenset()))
    assert {first for first, *_ in strides} == {48}
