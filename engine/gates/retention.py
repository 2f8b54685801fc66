"""The gates on what an update costs: retention suites, the exam of earlier edits, and drift from the base.

Each answer that was right and is now wrong is named; what was wrong before cannot be lost. A gain elsewhere never pays
for a loss: it only enters the test that tells a loss from noise.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING, Any, Self

from engine.gates.evidence import DriftEvidence, EarlierEvidence, LostAnswer, SuiteEvidence, UndoneEdit
from engine.gates.names import DRIFT_GATE, EARLIER_GATE, SUITE_GATE
from engine.retention.earlier import earlier_questions, edits_in, lineage, questions_at_risk
from engine.retention.reading import read_retention
from engine.retention.suites import losses_allowed
from store.clock import utc_now
from store.records import GateResult

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from engine.exams.exam import ModelRef
    from engine.exams.examiner import Examiner
    from engine.gates.gate import GateContext, GateSubject, Stage
    from engine.retention.earlier import EarlierQuestion
    from engine.retention.suites import Suite
    from engine.settings.sections import RetentionSettings
    from store.records import Answer, Drift, RetentionAnswer


@dataclass(frozen=True, slots=True)
class AnswerPair:
    """One prompt, or question, with the answers before an update and after it.

    For a question of an earlier edit, `version` and `task` name that edit and `of_audit` marks an audit question.
    """

    prompt: str
    expected: tuple[str, ...]
    before: str
    after: str
    right_before: bool
    right_after: bool
    group: str = ""
    version: str | None = None
    task: str | None = None
    of_audit: bool = False

    @property
    def is_lost(self) -> bool:
        """Whether a right answer became wrong."""
        return self.right_before and not self.right_after

    def as_lost(self) -> LostAnswer:
        """Return it as evidence."""
        return LostAnswer(
            self.prompt,
            self.expected,
            self.before,
            self.after,
            self.group,
            self.version,
            self.task,
            self.of_audit or None,
        )


@dataclass(frozen=True, slots=True)
class SuitesGate:
    """Passes a candidate that keeps what the suites in `retention/` ask for; each suite is a verdict of its own."""

    suites: tuple[Suite, ...]
    examiner: Examiner
    live: ModelRef
    settings: RetentionSettings

    @classmethod
    def open(cls, context: GateContext, _stage: Stage) -> Self | None:
        """Return the gate; None if `retention.gate` is off or there is no prompt.

        Raises WrongUseError, with every problem, if a suite cannot be read.
        """
        settings = context.settings.retention
        suites = () if settings.gate is None else read_retention(context.workspace).suites
        suites = tuple(suite for suite in suites if suite.prompts)
        return cls(suites, context.examiner, context.live, settings) if suites else None

    def check(self, subjects: Sequence[GateSubject]) -> Generator[list[GateResult], None, None]:
        """Yield the verdict of each suite on each subject; all of them are asked in the same batches."""
        models = [one.model for one in subjects if one.model is not None]
        prompts = [prompt for suite in self.suites for prompt in suite.prompts]
        before, *answers = self.examiner.suite_answers(prompts, [self.live, *models])
        remaining = iter(answers)
        noise = [self.examiner.noise(suite) for suite in self.suites]
        floors = [None if measured is None else measured.lost for measured in noise]
        for one in subjects:
            after = next(remaining) if one.model is not None else before
            yield [
                suite_verdict(one.id, suite, pair_suite_answers(suite, before, after), self.settings, floor)
                for suite, floor in zip(self.suites, floors, strict=True)
            ]


@dataclass(frozen=True, slots=True)
class EarlierEditsGate:
    """Passes a candidate that undoes no more answers of earlier accepted edits than the settings allow."""

    earlier: tuple[EarlierQuestion, ...]
    examiner: Examiner
    live: ModelRef
    settings: RetentionSettings

    @classmethod
    def open(cls, context: GateContext, _stage: Stage) -> Self | None:
        """Return the gate; None if it is switched off or the live version has no earlier edit."""
        settings = context.settings.retention
        if settings.gate is None or not settings.earlier_questions:
            return None
        edits = edits_in(context.db, lineage(context.db, context.live_version))
        earlier = tuple(earlier_questions(edits, settings.earlier_questions, context.settings.round.seed))
        return cls(earlier, context.examiner, context.live, settings) if earlier else None

    def check(self, subjects: Sequence[GateSubject]) -> Generator[list[GateResult], None, None]:
        """Yield the verdict on each subject that could undo something; all are asked in the same batches."""
        models = [one.model for one in subjects if one.model is not None]
        questions = [one.question for one in self.earlier]
        before, *answers = self.examiner.question_answers(questions, [self.live, *models])
        remaining = iter(answers)
        for one in subjects:
            after = next(remaining) if one.model is not None else before
            at_risk = questions_at_risk(self.earlier, one.task)
            pairs = [_pair_earlier(earlier, before, after) for earlier in at_risk]
            own_title = one.task.title if one.task else ""
            yield [earlier_verdict(one.id, own_title, pairs, self.settings)] if pairs else []


@dataclass(frozen=True, slots=True)
class DriftGate:
    """Passes a candidate whose divergence from the base on the anchors stays below the limit, if there is one."""

    anchors: tuple[str, ...]
    examiner: Examiner
    live: ModelRef
    settings: RetentionSettings

    @classmethod
    def open(cls, context: GateContext, _stage: Stage) -> Self | None:
        """Return the gate; None if `retention.gate` is off or there is no anchor."""
        settings = context.settings.retention
        if settings.gate is None:
            return None
        anchors = read_retention(context.workspace).drift_anchors(settings.drift_anchors)
        return cls(anchors, context.examiner, context.live, settings) if anchors else None

    def check(self, subjects: Sequence[GateSubject]) -> Generator[list[GateResult], None, None]:
        """Yield the verdict on each subject."""
        models = [one.model for one in subjects if one.model is not None]
        before, *measured = self.examiner.drift(self.anchors, [self.live, *models])
        remaining = iter(measured)
        for one in subjects:
            after = next(remaining) if one.model is not None else before
            yield [drift_verdict(one.id, before, after, self.settings)]


def paired_p_value(lost: int, gained: int) -> float:
    """Return the chance of at least `lost` losses among the changed answers if losing and gaining were equally likely.

    McNemar's test in its exact, one-sided form: P(X ≥ lost) for X binomial with lost + gained trials of ½ (McNemar
    1947, Psychometrika 12; the exact form is the sign test). Integers until the last division; 1 if nothing changed.
    """
    changed = lost + gained
    combinations, as_many_or_more = comb(changed, lost), 0
    for count in range(lost, changed + 1):
        as_many_or_more += combinations
        combinations = combinations * (changed - count) // (count + 1)
    return as_many_or_more / (1 << changed)


def suite_verdict(
    candidate_id: str,
    suite: Suite,
    pairs: Sequence[AnswerPair],
    settings: RetentionSettings,
    noise_floor: int | None = None,
) -> GateResult:
    """Judge one suite by its own limit of losses, or by that of the settings if it has none.

    The noise floor is only shown: a loss within it is a loss.
    """
    limit = settings.allowed_losses if suite.allowed_losses is None else suite.allowed_losses
    figures = _loss_figures(pairs, losses_allowed(limit, len(pairs)), settings)
    evidence = SuiteEvidence(**figures, suite=suite.name, noise_floor=noise_floor)
    passed = _passes(evidence, settings)
    return GateResult(candidate_id, SUITE_GATE + suite.name, passed, evidence.as_json(), utc_now())


def earlier_verdict(
    candidate_id: str, own_task: str, pairs: Sequence[AnswerPair], settings: RetentionSettings
) -> GateResult:
    """Judge the exam of earlier edits; the evidence names the candidate's own task and every edit that it undid."""
    undone = Counter((one.version or "", one.task or "") for one in pairs if one.is_lost)
    evidence = EarlierEvidence(
        **_loss_figures(pairs, settings.earlier_losses, settings),
        edits=len({one.version for one in pairs}),
        candidate_task=own_task,
        undone=tuple(UndoneEdit(version, task, lost) for (version, task), lost in undone.items()),
    )
    return GateResult(candidate_id, EARLIER_GATE, _passes(evidence, settings), evidence.as_json(), utc_now())


def drift_verdict(candidate_id: str, before: Drift, after: Drift, settings: RetentionSettings) -> GateResult:
    """Judge the drift from the base. Without a limit it is only measured, and passes."""
    passed = settings.max_drift is None or after.mean_kl <= settings.max_drift
    evidence = DriftEvidence(after.tokens, after.mean_kl, after.worst_kl, before.mean_kl, settings.max_drift)
    return GateResult(candidate_id, DRIFT_GATE, passed, evidence.as_json(), utc_now())


def pair_suite_answers(
    suite: Suite, before: Mapping[str, RetentionAnswer], after: Mapping[str, RetentionAnswer]
) -> list[AnswerPair]:
    """Pair the answers to a suite's prompts, in the order of the suite."""
    return [
        AnswerPair(
            prompt.text,
            prompt.answers,
            (was := before[prompt.identity]).text,
            (now := after[prompt.identity]).text,
            was.correct,
            now.correct,
            group=prompt.group,
        )
        for prompt in suite.prompts
    ]


def _pair_earlier(earlier: EarlierQuestion, before: Mapping[str, Answer], after: Mapping[str, Answer]) -> AnswerPair:
    question = earlier.question
    was, now = before[question.id], after[question.id]
    return AnswerPair(
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


def _loss_figures(pairs: Sequence[AnswerPair], allowed: int, settings: RetentionSettings) -> dict[str, Any]:
    lost = tuple(one.as_lost() for one in pairs if one.is_lost)
    gained = sum(one.right_after and not one.right_before for one in pairs)
    return {
        "prompts": len(pairs),
        "right_before": sum(one.right_before for one in pairs),
        "right_after": sum(one.right_after for one in pairs),
        "lost": lost,
        "gained": gained,
        "allowed_losses": allowed,
        "p_value": paired_p_value(len(lost), gained),
        "rule": settings.gate,
        "significance": settings.significance,
    }


def _passes(evidence: SuiteEvidence | EarlierEvidence, settings: RetentionSettings) -> bool:
    if len(evidence.lost) <= evidence.allowed_losses:
        return True
    return settings.gate == "significant" and evidence.p_value > settings.significance
