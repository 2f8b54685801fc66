"""The end of a round: alarms are measured and raised, the best candidate may go live, and the round is finished."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.alarms.watch import watch_round
from engine.loop.accept import accept_best
from engine.trackers.summary import AlarmRef, RacingFigures, published, summary_of
from store.candidates import inner_updates_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_utils import Database

    from engine.loop.session import Session
    from engine.settings.sections import Settings
    from engine.trackers.summary import RoundSummary
    from store.records import Candidate, Round


def finish_round(session: Session, current: Round, summary: RoundSummary, new_policy_version: int | None) -> None:
    """Raise the round's alarms, accept its best candidate if the settings say so, and record the summary."""
    settings, tracker = session.settings, session.tracker
    measures, alarms = watch_round(session.db, current, settings.alarms)
    for alarm in alarms:
        session.say(f"Alarm {alarm.id}: “{alarm.name}”. seal-console alarms show {alarm.id} explains it.")
    acceptance = accept_best(session.workspace, session.db, current, settings.acceptance)
    if acceptance is not None:
        session.say(acceptance.said)
        if acceptance.version is not None and acceptance.candidate is not None:
            tracker.artefact("version", acceptance.version, acceptance.candidate)
    summary = replace(
        summary,
        measures=measures.means(),
        alarms=[AlarmRef(alarm.id, alarm.name) for alarm in alarms],
        acceptance=acceptance,
    )
    for name, value in _metrics(summary).items():
        tracker.metric(name, value, current.number)
    tracker.round_ended(current.number, summary, new_policy_version)


def racing_figures(db: Database, candidates: Sequence[Candidate], settings: Settings) -> RacingFigures | None:
    """Return what racing saved among the examined candidates of a round; None if none of them stopped early."""
    examined = [one for one in candidates if one.reward_mean is not None]
    updates = [len(inner_updates_of(db, one.id)) for one in examined]
    repeats = settings.inner_update.repeats
    stopped = sum(count < repeats for count in updates)
    if not stopped:
        return None
    return RacingFigures(settings.round.racing, len(examined), stopped, sum(updates), repeats * len(examined))


def run_result(finished: Sequence[Round]) -> dict[str, Any]:
    """Return what rounds came to, as the result of a run: number, policy and summary of each.

    `all_refused` is true if no candidate was left; `alarming` if a round raised an alarm, or accepted nothing because
    of one.
    """
    summaries = {one.number: summary for one in finished if (summary := summary_of(one)) is not None}
    rows = [
        {"number": one.number, "new_policy_version": one.new_policy_version, **published(one.summary or {})}
        for one in finished
    ]
    all_refused = bool(summaries) and all(one.candidates == one.refused for one in summaries.values())
    alarming = any(one.alarms or (one.acceptance and one.acceptance.alarms) for one in summaries.values())
    return {"rounds": rows, "all_refused": all_refused, "alarming": alarming}


def _metrics(summary: RoundSummary) -> dict[str, float]:
    figures = {
        "candidates": float(summary.candidates),
        "kept": float(len(summary.kept)),
        "mean_reward": summary.mean_reward,
        "held_out_before": None if summary.held_out.before is None else summary.held_out.before.accuracy,
        "held_out_after": None if summary.held_out.after is None else summary.held_out.after.accuracy,
        **{f"measure/{name}": value for name, value in summary.measures.items()},
    }
    return {name: value for name, value in figures.items() if value is not None}
