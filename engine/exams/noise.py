"""The noise floor of suites: how many right answers the base loses by nothing but other batches.

Floating-point sums depend on the size and the padding of a batch, so the same model may answer the same prompt in other
words, in bfloat16 more often than in float32. A suite is asked again in other orders and batches; nothing but the
figures is recorded. A floor holds for the machine that measured it: other processors round elsewhere.
"""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

from engine.exams.exam import ModelRef
from engine.runtime.progress import Progress, ignore_progress
from store.answers import ModelState
from store.clock import utc_now
from store.hashing import hash_json
from store.records import SuiteNoise
from store.retention import record_noise
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.exams.examiner import Examiner
    from engine.retention.suites import RetentionPrompt, Suite
    from engine.runtime.progress import Report

# Prompts in a batch when a suite is asked again. Recorded answers come from batches of 64 or more.
_BATCHES = (16, 24)
_BASE = ModelRef(ModelState("base"), None)


def measure_noise(examiner: Examiner, suites: Sequence[Suite], report: Report = ignore_progress) -> int:
    """Measure the noise floor of each suite that has none under these conditions; returns how many were measured."""
    missing = [suite for suite in suites if suite.prompts and examiner.noise(suite) is None]
    if missing:
        note = f"Measuring the noise floor of {counted(len(missing), 'suite')}, once."
        report(Progress("exam", 0, len(missing), "suites", note=note))
    for place, suite in enumerate(missing):
        report(Progress("exam", place, len(missing), "suites"))
        record_noise(examiner.db, [_measured(examiner, suite)])
    return len(missing)


def noise_floor(askings: Sequence[Mapping[str, bool]]) -> int:
    """Return the most answers that were right in one asking and wrong in another; askings are by prompt."""
    return max(
        (sum(right and not other[prompt] for prompt, right in one.items()) for one, other in permutations(askings, 2)),
        default=0,
    )


def _measured(examiner: Examiner, suite: Suite) -> SuiteNoise:
    [recorded] = examiner.suite_answers(suite.prompts, [_BASE])
    askings = [{identity: answer.correct for identity, answer in recorded.items()}]
    askings += [examiner.ask_in_batches(_batches(suite.prompts, size), _BASE) for size in _BATCHES]
    return SuiteNoise(
        suite.prompts_hash,
        examiner.conditions_hash,
        examiner.executor.identity.fingerprint,
        suite.name,
        len(suite.prompts),
        sum(askings[0].values()),
        noise_floor(askings),
        len(askings),
        utc_now(),
    )


def _batches(prompts: Sequence[RetentionPrompt], size: int) -> list[list[RetentionPrompt]]:
    """Return prompts in batches, in an order that depends on the size: a batch mixes short and long ones."""
    drawn = sorted(prompts, key=lambda prompt: hash_json([prompt.identity, size]))
    return [drawn[start : start + size] for start in range(0, len(drawn), size)]
