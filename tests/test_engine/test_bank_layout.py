from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.bank.job import SoftTarget, TrainingSequence
from engine.bank.packing import PackedTick, pack
from engine.model.token_layout import Layout, group_tokens, lay_out

CPU = torch.device("cpu")
LENGTHS = st.lists(st.integers(0, 9), min_size=1, max_size=7).filter(any)
FULL_LENGTHS = st.lists(st.integers(1, 200), min_size=1, max_size=9)
LIKELY = st.lists(st.integers(2, 99), min_size=1, max_size=4, unique=True).map(
    lambda tokens: SoftTarget(tuple(tokens), (1 / len(tokens),) * len(tokens))
)
SEQUENCES = st.builds(
    lambda tokens, first, last: TrainingSequence(tuple(tokens), min(first, len(tokens) - 1), last),
    st.lists(st.integers(2, 99), min_size=2, max_size=60),
    st.integers(0, 70),
    st.none() | LIKELY,
)


@given(LENGTHS, st.integers(1, 3))
def test_tokens_are_grouped_and_come_back(lengths: list[int], width: int) -> None:
    packed = torch.arange(1.0, 1.0 + sum(lengths) * width).view(-1, width)
    grouping = group_tokens(lengths, torch.device("cpu"))
    grouped, zeroed = grouping.gather(packed), grouping.gather_zeroed(packed)
    assert grouped.shape == zeroed.shape == (len(lengths), max(lengths), width)
    assert (grouping.groups, grouping.longest, grouping.tokens) == (len(lengths), max(lengths), sum(lengths))
    for group, mine in enumerate(packed.split(lengths)):
        length = lengths[group]
        assert torch.equal(grouped[group, :length], mine)
        assert torch.equal(zeroed[group, :length], mine)
        assert not zeroed[group, length:].any()
        if length:
            assert torch.equal(grouped[group, length:], mine[-1:].expand(max(lengths) - length, width))
    assert torch.equal(grouping.scatter(grouped), packed)
    assert torch.equal(grouping.scatter(zeroed), packed)


@given(FULL_LENGTHS, st.integers(0, 200))
def test_parts_follow_one_another_and_cost_least(lengths: list[int], calls: int) -> None:
    layout = lay_out(lengths, CPU, in_parts=True, calls=calls)
    bounds = [layout.parts[0].groups.start, *(part.groups.stop for part in layout.parts)]
    assert bounds[0] == 0
    assert bounds[-1] == len(lengths)
    for part in layout.parts:
        assert part.tokens == slice(sum(lengths[: part.groups.start]), sum(lengths[: part.groups.stop]))
        assert (part.grouping.groups, part.grouping.longest) == (
            part.groups.stop - part.groups.start, max(lengths[part.groups]),
        )  # fmt: skip
    assert layout.tokens == sum(lengths)

    def cost(cuts: list[int]) -> int:
        return sum(calls + (last - first) * max(lengths[first:last]) for first, last in pairwise(cuts))

    inside = range(1, len(lengths))
    every = [
        [0, *(at for bit, at in enumerate(inside) if mask >> bit & 1), len(lengths)] for mask in range(1 << len(inside))
    ]
    assert cost(bounds) == min(map(cost, every))
    assert len(lay_out(lengths, CPU).parts) == 1


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.booleans(), st.integers(0, 99))
def test_products_are_those_of_each_group_with_its_own_matrix(lengths: list[int], in_parts: bool, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    packed = torch.randn(sum(lengths), 3, generator=generator, dtype=torch.float64)
    matrices = torch.randn(len(lengths), 3, 2, generator=generator, dtype=torch.float64)
    expected = torch.cat([rows @ matrix for rows, matrix in zip(packed.split(lengths), matrices, strict=True)])
    layout = lay_out(lengths, CPU, in_parts=in_parts)
    grouped = layout.gather(packed)
    for dtype in (torch.float64, torch.bfloat16):
        to = torch.full((sum(lengths), 2), 8.0, dtype=dtype)
        layout.add_products(to, grouped, matrices, 0.5)
        torch.testing.assert_close(to, (8.0 + 0.5 * expected).to(dtype))
    products = layout.products(grouped, matrices)
    scattered = [part.grouping.scatter(rows) for part, rows in zip(layout.parts, products, strict=True)]
    torch.testing.assert_close(torch.cat(scattered), expected)


def learnt_there(sequence: TrainingSequence, place: int) -> list[tuple[int, float]]:
    """Tokens that a sequence learns in a place, and how likely each is there."""
    if sequence.soft_target is None:
        return [(sequence.tokens[place], 1.0)]
    return list(
        zip(sequence.soft_target.tokens, torch.tensor(sequence.soft_target.probabilities).tolist(), strict=True)
    )


def targets_by_row(tick: PackedTick) -> list[list[tuple[int, float]]]:
    tokens, rows, probabilities = tick.targets.tokens.tolist(), tick.targets.rows, tick.targets.probabilities
    if rows is None or probabilities is None:
        return [[(token, 1.0)] for token in tokens]
    found: list[list[tuple[int, float]]] = [[] for _ in tick.target_positions]
    for row, token, probability in zip(rows.tolist(), tokens, probabilities.tolist(), strict=True):
        found[row].append((token, probability))
    return [sorted(of_row) for of_row in found]


def real_rows(layout: Layout) -> int:
    return sum(part.grouping.groups * part.grouping.longest for part in layout.parts)


@given(st.lists(st.lists(SEQUENCES, min_size=1, max_size=3), min_size=1, max_size=6))
def test_a_packed_row_learns_every_token_of_every_slot_once(slots: list[list[TrainingSequence]]) -> None:
    tick = pack(slots, CPU)
    learnt = [
        (slot, position, sorted(learnt_there(one, position)))
        for slot, taken in enumerate(slots)
        for one in taken
        for position in (
            range(max(1, one.loss_start), len(one.tokens)) if one.soft_target is None else [len(one.tokens) - 1]
        )
    ]
    found = zip(
        tick.slots.tolist(), (tick.positions[tick.target_positions] + 1).tolist(), targets_by_row(tick), strict=True
    )
    assert list(found) == learnt
    shares = torch.zeros(len(slots)).index_add(0, tick.slots, tick.loss_weights)
    torch.testing.assert_close(shares, torch.ones(len(slots)))
    assert len(tick.tokens) == len(tick.positions) == tick.by_slot.tokens == tick.by_sequence.tokens
    row, positions = tick.tokens.tolist(), tick.positions.tolist()
    seen = [tuple(row[at - positions[at] : at + 1]) for at in tick.target_positions.tolist()]
    learnt_by = [one for taken in slots for one in taken for _ in range(len(one.tokens) - one.first_target)]
    assert seen == [one.tokens[: len(before)] for one, before in zip(learnt_by, seen, strict=True)]


@given(st.lists(SEQUENCES, min_size=1, max_size=5), st.integers(0, 99))
def test_losses_are_cross_entropies_with_what_is_likely(taken: list[TrainingSequence], seed: int) -> None:
    tick = pack([taken], CPU)
    logits = torch.randn(len(tick.target_positions), 100, generator=torch.Generator().manual_seed(seed))
    wanted = torch.zeros_like(logits)
    for row, targets in enumerate(targets_by_row(tick)):
        for token, probability in targets:
            wanted[row, token] = probability
    expected = torch.nn.functional.cross_entropy(logits, wanted, reduction="none")
    torch.testing.assert_close(tick.targets.losses(logits), expected)


@pytest.mark.parametrize("beside", [0, 4])
def test_slots_of_like_length_need_no_gathering(beside: int) -> None:
    each = [TrainingSequence((5, 5))] * beside
    slots = [[*each, TrainingSequence((5,) * (1 + length - beside))] for length in (10, 11, 12, 12, 50, 52)]
    tick = pack(slots, CPU)
    assert [part.groups for part in tick.by_slot.parts] == [slice(0, 4), slice(4, 6)]
    assert all(part.grouping.into is None for part in tick.by_slot.parts)
    assert len(tick.tokens) == real_rows(tick.by_slot) == 4 * 12 + 2 * 52
