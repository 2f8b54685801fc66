"""Verdicts on what a candidate lost: suites, earlier edits, drift. Pure: answers in, verdict and evidence out.

Each formerly right answer that is now wrong is named; answers that were wrong before cannot be lost. A gain somewhere
else never pays for a loss: it only enters the test that tells loss from noise.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from fractions import Fraction
from math import comb, floor
from typing import TYPE_CHECKING, Any

from engine.exams.drift import drift_of
from engine.exams.recorded import ModelRef, question_answers, suite_answers
from engine.gates.names import DRIFT_GATE, EARLIER_GATE, SUITE_GATE
from engine.retention.earlier import EarlierQuestion, earlier_questions, edits_in, lineage, questions_at_risk
from engine.retention.reading import read_retention
from engine.retention.suites import Retention
from store.answers import ModelState, model_state
from store.audit_redaction import AUDIT_KEY
from store.clock import utc_now
from store.records import GateResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.lora.adapter import Adapter
    from engine.retention.suites import RetentionPrompt, Suite
    from engine.session import Session
    from engine.settings.sections import RetentionSettings
    from store.records import Answer, Drift, RetentionAnswer, Task


@dataclass(frozen=True, slots=True)
class AnswerPair:
    """One prompt, or question, with the answers before an update and after it."""

    prompt: str
    expected: tuple[str, ...]
    before: str
    after: str
    right_before: bool
    right_after: bool
    group: str = ""

    @property
    def is_lost(self) -> bool:
        """Whether a right answer became wrong."""
        return self.right_before and not self.right_after


@dataclass(frozen=True, slots=True)
class EarlierAnswerPair(AnswerPair):
    """A question of an earlier edit: its version, the title of its task, whether it is one of the audit."""

    version: str = ""
    task: str = ""
    of_audit: bool = False


def paired_p_value(lost: int, gained: int) -> float:
    """Return the chance of so many losses or more among the changed answers, if losing and gaining were equally likely.

    McNemar's test in its exact, one-sided form: P(X ≥ lost) for X binomial with lost + gained trials of ½ (McNemar
    1947, Psychometrika 12; the exact form is the sign test). Whole numbers until the last division; 1 without changes.
    """
    changed = lost + gained
    ways, as_many_or_more = comb(changed, lost), 0
    for count in range(lost, changed + 1):
        as_many_or_more += ways
        ways = ways * (changed - count) // (count + 1)
    return as_many_or_more / (1 << changed)


def losses_allowed(allowed: float, prompts: int) -> int:
    """Return how many losses a limit allows: an int is a count, a float a share of the prompts, rounded down."""
    if isinstance(allowed, int):
        return allowed
    # 0.29 of 100 is 29, as it was written; the nearest binary number would give 28.
    return floor(Fraction(str(allowed)) * prompts)


def suite_gate(
    candidate_id: str, suite: Suite, compared: Sequence[AnswerPair], settings: RetentionSettings, now: str
) -> GateResult:
    """Judge one suite under its own limit of losses, or that of the settings where it has none."""
    limit = settings.allowed_losses if suite.allowed_losses is None else suite.allowed_losses
    evidence = _figures(compared, losses_allowed(limit, len(compared)), settings)
    passed = _passes(evidence, settings)
    return GateResult(candidate_id, SUITE_GATE + suite.name, passed, {"suite": suite.name, **evidence}, now)


def earlier_gate(
    candidate_id: str, own_task: str, compared: Sequence[EarlierAnswerPair], settings: RetentionSettings, now: str
) -> GateResult:
    """Judge the exam of earlier edits; the evidence names the candidate's own task and every edit that it undid."""
    evidence = _figures(compared, settings.earlier_losses, settings)
    undone = Counter((one.version, one.task) for one in compared if one.is_lost)
    named = {
        "edits": len({one.version for one in compared}),
        "candidate_task": own_task,
        "undone": [{"version": version, "task": task, "lost": lost} for (version, task), lost in undone.items()],
    }
    return GateResult(candidate_id, EARLIER_GATE, _passes(evidence, settings), {**named, **evidence}, now)


def drift_gate(candidate_id: str, before: Drift, after: Drift, settings: RetentionSettings, now: str) -> GateResult:
    """Judge the drift from the base; without a limit it is measured, and passes."""
    passed = settings.max_drift is None or after.mean_kl <= settings.max_drift
    evidence = {
        "tokens": after.tokens,
        "mean_kl": after.mean_kl,
        "worst_kl": after.worst_kl,
        "mean_kl_before": before.mean_kl,
        "max_drift": settings.max_drift,
    }
    return GateResult(candidate_id, DRIFT_GATE, passed, evidence, now)


def _figures(compared: Sequence[AnswerPair], allowed: int, settings: RetentionSettings) -> dict[str, Any]:
    lost = [one for one in compared if one.is_lost]
    gained = sum(one.right_after and not one.right_before for one in compared)
    return {
        "prompts": len(compared),
        "right_before": sum(one.right_before for one in compared),
        "right_after": sum(one.right_after for one in compared),
        "lost": [_named(one) for one in lost],
        "gained": gained,
        "allowed_losses": allowed,
        "p_value": paired_p_value(len(lost), gained),
        "rule": settings.gate,
        "significance": settings.significance,
    }


def _named(lost: AnswerPair) -> dict[str, Any]:
    named = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in asdict(lost).items()
        if not isinstance(value, bool)
    }
    return {**named, AUDIT_KEY: True} if isinstance(lost, EarlierAnswerPair) and lost.of_audit else named


def _passes(evidence: dict[str, Any], settings: RetentionSettings) -> bool:
    if len(evidence["lost"]) <= evidence["allowed_losses"]:
        return True
    return settings.gate == "significant" and evidence["p_value"] > settings.significance


@dataclass(frozen=True, slots=True)
class GateSubject:
    """A candidate after its inner update, or a version: its own task, and the adapter that is, or would go, live.

    The base alone has neither. `state` says under what its answers are kept.
    """

    candidate_id: str
    task: Task | None
    adapter: Adapter | None
    state: ModelState


class RetentionGate:
    """Judges candidates that were trained from one version; suites are read when it opens."""

    def __init__(self, session: Session, live: Adapter | None, live_version: int | None) -> None:
        """Raises WrongUseError, with every problem, where a suite cannot be read."""
        self._session = session
        self._live = ModelRef(model_state(session.db, live_version), live)
        settings = session.settings
        self._retention = Retention() if settings.retention.gate is None else read_retention(session.workspace)
        self._earlier: list[EarlierQuestion] = []
        if settings.retention.gate is not None and settings.retention.earlier_questions:
            edits = edits_in(session.db, lineage(session.db, live_version))
            self._earlier = earlier_questions(edits, settings.retention.earlier_questions, settings.round.seed)

    def verdicts(self, updated: Sequence[GateSubject]) -> dict[str, list[GateResult]]:
        """Return the verdicts on each candidate by its id, all of them asked in the same batches."""
        found: dict[str, list[GateResult]] = {one.candidate_id: [] for one in updated}
        if not updated:
            return found
        examinees = [self._live, *(ModelRef(one.state, one.adapter) for one in updated)]
        self._examine_suites(updated, examinees, found)
        self._examine_earlier(updated, examinees, found)
        self._examine_drift(updated, examinees, found)
        return found

    def _examine_suites(
        self, updated: Sequence[GateSubject], examinees: Sequence[ModelRef], found: dict[str, list[GateResult]]
    ) -> None:
        if not self._retention.prompts:
            return
        before, *answers = suite_answers(self._session, self._retention.prompts, examinees)
        for one, after in zip(updated, answers, strict=True):
            found[one.candidate_id] += [
                suite_gate(
                    one.candidate_id,
                    suite,
                    pair_suite_answers(suite, before, after),
                    self._session.settings.retention,
                    utc_now(),
                )
                for suite in self._retention.suites
                if suite.prompts
            ]

    def _examine_earlier(
        self, updated: Sequence[GateSubject], examinees: Sequence[ModelRef], found: dict[str, list[GateResult]]
    ) -> None:
        if not self._earlier:
            return
        questions = [one.question for one in self._earlier]
        before, *answers = question_answers(self._session, questions, examinees)
        for one, after in zip(updated, answers, strict=True):
            asked = questions_at_risk(self._earlier, one.task)
            if asked:
                own_title = one.task.title if one.task else ""
                compared = [_compared_earlier(earlier, before, after) for earlier in asked]
                settings = self._session.settings.retention
                found[one.candidate_id].append(earlier_gate(one.candidate_id, own_title, compared, settings, utc_now()))

    def _examine_drift(
        self, updated: Sequence[GateSubject], examinees: Sequence[ModelRef], found: dict[str, list[GateResult]]
    ) -> None:
        anchors = self._retention.drift_anchors(self._session.settings.retention.drift_anchors)
        if not anchors:
            return
        before, *measured = drift_of(self._session, anchors, examinees)
        for one, after in zip(updated, measured, strict=True):
            settings = self._session.settings.retention
            found[one.candidate_id].append(drift_gate(one.candidate_id, before, after, settings, utc_now()))


def pair_suite_answers(
    suite: Suite, before: Mapping[str, RetentionAnswer], after: Mapping[str, RetentionAnswer]
) -> list[AnswerPair]:
    """Put the answers to a suite's prompts side by side, in the order of the suite."""
    return [_compared(prompt, before[prompt.identity], after[prompt.identity]) for prompt in suite.prompts]


def _compared(prompt: RetentionPrompt, before: RetentionAnswer, after: RetentionAnswer) -> AnswerPair:
    return AnswerPair(
        prompt.text, prompt.answers, before.text, after.text, before.correct, after.correct, group=prompt.group
    )


def _compared_earlier(
    earlier: EarlierQuestion, before: Mapping[str, Answer], after: Mapping[str, Answer]
) -> EarlierAnswerPair:
    question = earlier.question
    was, now = before[question.id], after[question.id]
    return EarlierAnswerPair(
        question.text,
        tuple(question.answers),
        was.text,
        now.text,
        was.correct,
        now.correct,
        version=earlier.edit.version.tag,
        task=earlier.edit.task.title,
        of_audit=question.split == "audit",
    )
