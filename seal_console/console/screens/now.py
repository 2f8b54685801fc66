"""The first screen: the live version, the engine, the queue, recent events and open problems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import HorizontalScroll, Vertical, VerticalScroll
from textual.widgets import Static

from seal_console.console.content import assemble, format_duration, lines, safe, share_bar, sparkline
from seal_console.console.render_event import event_line
from seal_console.console.screens.base import SealScreen
from seal_console.console.widgets.plots import RoundsPlot
from seal_console.queries.now import Overview, overview
from store.live_progress import read_progress
from store.wording import counted

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.content import Content

    from seal_console.queries.now import Guard
    from store.records import LiveProgress

_MOST_UPDATES = 8
_STAGES = ("curvature", "propose", "inner updates", "exam", "policy")


class NowScreen(SealScreen):
    """The first screen."""

    NAME = "now"
    HELP = "The live version and current activity. The panel 'What needs me?' shows what to do next."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "next_step", "Next step", id="now.next"),
    ]
    DEFAULT_CSS = """
    NowScreen #left { width: 3fr; }
    NowScreen #right { width: 2fr; }
    NowScreen .panel { height: auto; }
    NowScreen #plot { height: 1fr; min-height: 8; }
    NowScreen #events { height: 1fr; min-height: 4; }
    NowScreen #engine { height: auto; max-height: 60%; }
    NowScreen #event_lines { text-wrap: nowrap; text-overflow: ellipsis; }
    NowScreen #columns { overflow: hidden; }
    NowScreen.-narrow #columns { layout: vertical; overflow-y: auto; }
    NowScreen.-narrow #left, NowScreen.-narrow #right { width: 1fr; height: auto; }
    NowScreen.-narrow #plot { height: 10; }
    NowScreen.-narrow #events { height: 12; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._state: Overview | None = None
        self._ran = False
        self._put_last: dict[str, Content] = {}

    def body(self) -> ComposeResult:
        """Lay out two columns: the engine and its rounds; open problems and recent events."""
        with HorizontalScroll(id="columns"):  # focusable, so that keys scroll it on a narrow screen
            with Vertical(id="left"):
                yield _panel("needs", "What needs me?")
                yield _panel("engine", "Engine")
                yield RoundsPlot(id="plot", classes="panel")
            with Vertical(id="right"):
                yield _panel("live", "Live")
                yield _panel("queue", "Queue")
                yield _panel("guards", "Retention and guardrails")
                with VerticalScroll(id="events", classes="panel") as events:
                    events.border_title = "Last events"
                    yield Static(id="event_lines")

    async def load(self) -> None:
        """Read and show everything."""
        state, stages = await self.console.reader.read(
            lambda db: (overview(self.console.workspace, db), read_progress(db))
        )
        self._state, self._ran = state, self.console.facts.running
        self._put("needs", lines(*needs(state, running=self._ran)))
        self._put("engine", engine_lines(state, stages, engine=self.console.facts.engine))
        self._put("live", live_lines(state))
        self._put("queue", queue_lines(state))
        self._put("guards", guard_lines(state))
        self._put("event_lines", lines(*(event_line(event) for event in state.events)))
        self.query_one(RoundsPlot).show(state.rounds)

    async def progress_made(self) -> None:
        """Show how far the engine is; the rest, which takes much longer to read, changes with events."""
        if self._state is None or self._ran != self.console.facts.running:
            await self.load()
            return
        stages = await self.console.reader.read(read_progress)
        self._put("engine", engine_lines(self._state, stages, engine=self.console.facts.engine))

    async def action_next_step(self) -> None:
        """Go to what waits, or offer to run a round."""
        if self.console.facts.waiting:
            await self.app.run_action("go('review')")
        elif not self.console.facts.running:
            await self.app.run_action("run_round")

    def _put(self, name: str, content: Content) -> None:
        """Update a panel only if its text differs; lay the screen out again only if it gets longer."""
        panel, before = self.query_one(f"#{name}", Static), self._put_last.get(name)
        if before is not None and content.is_same(before):
            return
        self._put_last[name] = content
        rules, width = panel.styles.get_rules(), panel.content_size.width
        same = before is not None and width > 0 and before.get_height(rules, width) == content.get_height(rules, width)
        panel.update(content, layout=not same)


def needs(state: Overview, *, running: bool) -> list[Content]:
    """Return what a person should do next, the most urgent first."""
    found: list[Content] = []
    waiting = state.counts.get("examined", 0)
    deferred = state.counts.get("deferred", 0)
    if state.open_round is not None and state.open_round[1] == "interrupted" and not running:
        found.append(
            assemble(("! ", "$text-warning bold"), f"Round {state.open_round[0]} is interrupted. ",
                   ("ctrl+r", "$text-accent"), " resumes it.")
        )  # fmt: skip
    abandoned = [one for one in state.jobs if one["state"] == "running"]
    if abandoned and not running:
        died = f"The engine died during the job “{abandoned[0]['kind']}”; see cache/engine.log. "
        found.append(assemble(("! ", "$text-error bold"), died, ("ctrl+r", "$text-accent"), " resumes it."))
    if waiting:
        wait = counted(waiting, "self-edit waits", "self-edits wait")
        found.append(
            assemble(("→ ", "$text-accent bold"), f"{wait} for a decision. ",
                   ("2", "$text-accent"), " or ", ("enter", "$text-accent"), " opens the review.")
        )  # fmt: skip
    if deferred:
        were = counted(deferred, "was", "were")
        found.append(assemble(("· ", "$text-muted"), f"{were} deferred: filter state:deferred in the review."))
    if state.imported and not waiting:
        count = counted(state.imported, "self-edit")
        found.append(
            assemble(("· ", "$text-muted"), f"To read: {count} of published runs. ", ("2", "$text-accent"), ", then ",
                   ("v", "$text-accent"), ", shows them.")
        )  # fmt: skip
    if not state.tasks:
        found.append(
            assemble(("! ", "$text-warning bold"), "No tasks yet: ",
                   ("seal-console tasks add", "$text-accent"), " adds documents.")
        )  # fmt: skip
    elif not waiting and not running and state.open_round is None:
        found.append(
            assemble(("→ ", "$text-accent bold"), "Nothing waits. ", ("ctrl+r", "$text-accent"), " runs a round.")
        )
    return found or [assemble(("✓ ", "$text-success"), "Nothing. The engine is working; results appear here.")]


def engine_lines(state: Overview, stages: list[LiveProgress], *, engine: str) -> Content:
    """The round in progress, stage by stage, with the running inner updates."""
    rows: list[Content] = []
    if state.open_round is not None:
        number, condition = state.open_round
        rows.append(assemble(f"Round {number} ", (condition, "bold")))
    if engine == "idle":
        rows.append(safe("No engine is running.", "$text-muted"))
        stages = []  # left by a dead engine
    rows += [_stage(stage) for stage in sorted(stages, key=_place) if stage.total]
    rows += _newest_note(stages)
    for update in _updates(stages):
        curve = [float(value) for value in update.get("losses", [])]
        last = f"{curve[-1]:.3f}" if curve else "…"
        rows.append(
            assemble((f"  {str(update.get('candidate_id', ''))[7:17]} ", "$text-muted"),
                   f"step {update.get('step', 0):>3}/{update.get('steps', 0):<3} loss {last:>7} ",
                   (sparkline(curve, 24), "$text-accent"))
        )  # fmt: skip
    rows += [
        assemble((f"waiting job: {job['kind']}, by ", "$text-muted"), job["actor"])
        for job in state.jobs
        if job["state"] == "waiting"
    ]
    return lines(*rows)


def _newest_note(stages: list[LiveProgress]) -> list[Content]:
    """Return the engine's last note, unless a stage has progressed since."""
    newest = max(stages, key=lambda stage: stage.updated_at, default=None)
    return [safe(newest.note, "$text-muted")] if newest is not None and newest.note else []


def _place(stage: LiveProgress) -> int:
    return _STAGES.index(stage.stage) if stage.stage in _STAGES else len(_STAGES)


def _stage(stage: LiveProgress) -> Content:
    share = stage.done / stage.total if stage.total else 0.0
    rate = f"{stage.rate:,.1f}/s" if stage.rate else ""
    left = f"{format_duration((stage.total - stage.done) / stage.rate)} left" if stage.rate and share < 1 else ""
    unit = "" if stage.unit == stage.stage else f" {stage.unit}"
    return assemble(
        f"{stage.stage:<14}", (share_bar(share, 20), "$text-success" if share >= 1 else "$text-accent"),
        f" {stage.done:,}/{stage.total:,}{unit} ", (f"{rate} {left}", "$text-muted"),
    )  # fmt: skip


def _updates(stages: list[LiveProgress]) -> list[dict[str, Any]]:
    for stage in stages:
        if stage.stage == "inner updates" and stage.done < stage.total:
            found: list[dict[str, Any]] = stage.details.get("running", [])
            return found[:_MOST_UPDATES]
    return []


def live_lines(state: Overview) -> Content:
    """Return the live version, since when it is live and who made it live."""
    rows = [assemble((state.live, "bold $text-success"))]
    move = state.live_move
    if move is not None:
        rows += [
            assemble(
                ("since ", "$text-muted"), move.moved_at.replace("T", " ")[:19], (" UTC by ", "$text-muted"), move.actor
            ),
            assemble(("because ", "$text-muted"), move.reason),
        ]
    rows.append(assemble(("policy ", "$text-muted"), state.policy))
    rows += [
        assemble(("! ", "$text-warning bold"), one.setting, (f", {one.since}", "$text-muted"))
        for one in state.guards_off
    ]
    return lines(*rows)


def guard_lines(state: Overview) -> Content:
    """Return active alarms, and the last verdicts of the retention gates and the guardrails."""
    alarms = [
        assemble(
            ("! ", "$text-error bold"),
            (f"alarm {one.id} is active: {one.name}", "bold"),
            (f" in round {one.round_number}; ", "$text-muted"),
            (f"seal-console alarms show {one.id}", "$text-accent"),
        )
        for one in state.alarms
    ]
    rows = [_guard(one) for one in state.guards]
    policy = state.policy_gates
    if policy is not None:
        rows.append(
            assemble(
                ("✗ ", "$text-warning bold") if policy.denied or policy.needs_review else ("✓ ", "$text-success"),
                f"guardrails: {policy}",
                (f" in round {policy.round_number}", "$text-muted"),
            )
        )
    if not state.guards:
        rows += [safe("No retention gate has run: add a suite to retention/.", "$text-muted")]
    return lines(*alarms, *rows)


def _guard(one: Guard) -> Content:
    """Return what a retention gate stopped; a gate that tested nothing has no green sign."""
    sign = ("✓ ", "$text-success") if one.passed > one.untested else ("– ", "$text-muted")
    judged = counted(one.passed + one.stopped, "self-edit")
    untested = f", {one.untested:,} not tested" if one.untested else ""
    return assemble(
        ("✗ ", "$text-warning bold") if one.stopped else sign,
        f"{one.gate}: {one.stopped:,} of {judged} stopped{untested}",
        (f" in round {one.round_number}", "$text-muted"),
    )


def queue_lines(state: Overview) -> Content:
    """How many candidates are in which state."""
    order = ("examined", "deferred", "proposed", "accepted", "rejected", "refused")
    words = {"examined": "wait", "deferred": "deferred", "proposed": "not yet examined", "refused": "refused by gates"}
    return lines(*(assemble(f"{state.counts.get(one, 0):>7,} ", (words.get(one, one), "$text-muted")) for one in order))


def _panel(name: str, title: str) -> Static:
    panel = Static(id=name, classes="panel")
    panel.border_title = title
    return panel
