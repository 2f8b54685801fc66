"""`versions`: list, show, compare, import, rollback."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seal_console.cli.command import SealGroup
from seal_console.cli.engine_call import call_engine
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.option_types import ONE_LINE
from seal_console.cli.workspace_session import open_to_change, open_to_show
from seal_console.format import LIVE_SIGN, gain, percent, show_line, show_text, table
from seal_console.queries.version_comparison import compare_versions
from seal_console.queries.versions import files_that_are_missing
from store.adapter_files import CARD_NAME, MANIFEST_NAME
from store.errors import ExitCode, WrongUseError
from store.events import head_as_json
from store.lock import current_user
from store.manifest import read_manifest
from store.repository import Repository
from store.version_rows import get_policy_version, get_version, list_policy_versions, list_versions, live_version
from store.version_tags import live_name, parse_number, policy_tag, version_tag
from store.versions import rollback
from store.wording import counted

if TYPE_CHECKING:
    from seal_console.cli.invocation import Invocation
    from seal_console.cli.workspace_session import WorkspaceSession
    from seal_console.queries.version_comparison import AnswerChanges, VersionComparison
    from seal_console.queries.versions import VersionFacts
    from store.records import Answer, PolicyVersion, Version


@click.group(
    "versions",
    cls=SealGroup,
    short_help="List, show, compare, import and roll back versions.",
    examples=("seal-console versions list", "seal-console versions show v0001"),
)
def versions() -> None:
    """The accepted versions: each one a commit and a tag in the workspace's adapters/ folder."""


@versions.command(
    "list",
    short_help="List the accepted versions and the kept policies.",
    examples=("seal-console versions list", "seal-console versions list --json"),
)
@pass_invocation
def list_command(invocation: Invocation) -> None:
    """List accepted versions and mark the live one; then the kept policies."""
    with open_to_show(invocation) as found:
        accepted, policies, live = list_versions(found.db), list_policy_versions(found.db), live_version(found.db)
        missing = files_that_are_missing(found.workspace)
    output = invocation.output
    if missing:
        output.narrate(f"Warning: {missing}", "yellow")
    if output.as_json:
        for version in accepted:
            output.data({"kind": "version", **asdict(version), "live": version.number == live})
        for policy in policies:
            output.data({"kind": "policy", **asdict(policy)})
        return
    root = (_live_mark(live is None), "v0000", "", "", "the base model alone", "")
    headers = ("", "version", "parent", "by", "because", "accepted at")
    output.show(table(headers, [root, *(_row(version, live) for version in accepted)]))
    if policies:
        output.show(table(("policy", "parent", "round", "held out", "kept at"), [_policy_row(one) for one in policies]))


@versions.command(
    "show",
    short_help="Show the card of a version or of a policy.",
    examples=("seal-console versions show v0001", "seal-console versions show p0001 --json"),
)
@click.argument("tag", metavar="TAG")
@pass_invocation
def show(invocation: Invocation, tag: str) -> None:
    """Show the card of a version (v0001) or of a policy (p0001) from git; with --json the manifest."""
    with open_to_show(invocation) as found:
        version = _find(found, tag)
        live = live_version(found.db)
        repository = Repository.open(found.workspace.adapters_folder)
        card = repository.read_file(version.commit, CARD_NAME).decode("utf-8", "replace")
        manifest = read_manifest(repository.read_file(version.commit, MANIFEST_NAME), version.tag)
    output = invocation.output
    is_live = not tag.startswith("p") and version.number == live
    if output.as_json:
        output.data({**asdict(version), "live": is_live, "manifest": manifest})
        return
    output.show(show_text(f"{LIVE_SIGN} live" if is_live else "not live", "green" if is_live else "dim"))
    output.show(card, f"With git: git -C {found.workspace.adapters_folder} show {version.tag}:{CARD_NAME}")


@versions.command(
    "compare",
    short_help="Compare two versions: answers, weights, provenance.",
    examples=("seal-console versions compare v0001 v0002", "seal-console versions compare v0000 v0001 --json"),
)
@click.argument("first", metavar="TAG")
@click.argument("second", metavar="TAG")
@pass_invocation
def compare(invocation: Invocation, first: str, second: str) -> None:
    """Compare two versions: recorded answers, distance of the weights, figures and provenance.

    No model is asked: questions that a version never answered are marked. v0000 is the base model alone.
    """
    numbers = _compared_number(first), _compared_number(second)
    with open_to_show(invocation) as found:
        show_comparison(invocation, found, *numbers)


@versions.command(
    "import",
    short_help="Begin with an adapter that you have already.",
    examples=('seal-console versions import ~/adapters/manuals --reason "trained on our manuals"',),
    exits=(ExitCode.LOCKED,),
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--reason", required=True, metavar="TEXT", type=ONE_LINE, help="The reason, kept with the version.")
@click.option("--as", "actor", metavar="ACTOR", type=ONE_LINE, help="Who decides (default: the user of this process).")
@pass_invocation
def import_command(invocation: Invocation, folder: Path, reason: str, actor: str | None) -> None:
    """Make the PEFT LoRA adapter in DIR the live version v0001, before anything was accepted.

    It must be plain LoRA for this base, within the rank and the layers of inner updates. Nothing is measured: the next
    round trains on top of it, and its gates compare with it.
    """
    workspace = invocation.workspace()
    parameters = {
        "workspace": str(workspace.root),
        "folder": str(folder.resolve()),
        "actor": current_user() if actor is None else actor,
        "reason": reason,
    }
    made = call_engine(invocation, "versions.import", parameters, next_step="seal-console versions list")
    if invocation.output.as_json:
        invocation.output.data(made)
        return
    origin = made["origin"]
    layers = counted(origin["layers"], "layer")
    invocation.output.show(
        f"{made['tag']} is live: the adapter in {origin['folder']}, rank {origin['rank']}, {layers}.",
        f"Its files had the hash {origin['source_hash']}.",
        f"Next: seal-console versions show {made['tag']}",
    )


@versions.command(
    "rollback",
    short_help="Make another version live; nothing is deleted.",
    examples=('seal-console versions rollback v0001 --reason "v0002 mixed up two products"',),
    exits=(ExitCode.NOTHING_TO_DO, ExitCode.LOCKED),
)
@click.argument("tag", metavar="TAG")
@click.option("--reason", required=True, metavar="TEXT", type=ONE_LINE, help="The reason, kept with the move.")
@click.option("--as", "actor", metavar="ACTOR", type=ONE_LINE, help="Who decides (default: the user of this process).")
@pass_invocation
def rollback_command(invocation: Invocation, tag: str, reason: str, actor: str | None) -> None:
    """Make another version live; v0000 is the base model alone. Nothing is deleted."""
    number = _version_number(tag)
    with open_to_change(invocation) as found:
        move = rollback(found.workspace, found.db, number, current_user() if actor is None else actor, reason)
        invocation.has_acted = True
        head = head_as_json(found.db)
    if invocation.output.as_json:
        invocation.output.data({**asdict(move), "log_head": head})
        return
    before, now = live_name(move.from_version), live_name(move.to_version)
    invocation.output.show(
        f"{now} is live instead of {before}.",
        f"With git: git -C {found.workspace.adapters_folder} checkout {version_tag(number)}",
    )


def _version_number(tag: str) -> int:
    if tag.startswith("p"):
        raise WrongUseError(f"{tag} is a policy; only versions go live.", next_step="seal-console versions list")
    return parse_number(tag)


def _compared_number(tag: str) -> int:
    if tag.startswith("p"):
        raise WrongUseError(f"{tag} is a policy; only versions are compared.", next_step="seal-console versions list")
    return parse_number(tag)


def _find(found: WorkspaceSession, tag: str) -> Version | PolicyVersion:
    if tag.startswith("p"):
        return get_policy_version(found.db, tag)
    if parse_number(tag) == 0:
        raise WrongUseError(
            "v0000 is the state before the first acceptance: the base model alone, without a card.",
            next_step="seal-console model card, or seal-console info",
        )
    return get_version(found.db, tag)


def _live_mark(live: bool) -> Any:
    return show_text(f"{LIVE_SIGN} live", "green") if live else ""


def _row(version: Version, live: int | None) -> tuple[Any, ...]:
    return (
        _live_mark(version.number == live),
        version.tag,
        version_tag(version.parent_number or 0),
        version.accepted_by,
        show_line(version.reason, limit=60),
        version.created_at,
    )


def _policy_row(policy: PolicyVersion) -> tuple[str, ...]:
    before, after = policy.metrics.get("held_out_before"), policy.metrics.get("held_out_after")
    change = "" if before is None or after is None else f" ({gain(after - before)})"
    parent = policy_tag(policy.parent_number) if policy.parent_number else "base"
    return (policy.tag, parent, str(policy.round_number), percent(after) + change, policy.created_at)


def show_comparison(invocation: Invocation, found: WorkspaceSession, first: int, second: int) -> None:
    """Write the comparison of two versions by number; 0 is the base alone."""
    compared = compare_versions(found.workspace, found.db, first, second)
    output = invocation.output
    if output.as_json:
        output.data(_as_data(compared))
        return
    from seal_console.console.screens.version_comparison_text import comparison_text  # noqa: PLC0415 - loads Textual

    text = comparison_text(compared, output.out.width).plain
    output.show("\n".join(line.rstrip() for line in text.split("\n")))


def _as_data(compared: VersionComparison) -> dict[str, Any]:
    return {
        "kind": "comparison",
        "first": _version(compared.first),
        "second": _version(compared.second),
        "answers": [_answers(one) for one in compared.answers],
        "weights": None if compared.distance is None else asdict(compared.distance),
        "no_weights_because": compared.no_distance or None,
    }


def _version(facts: VersionFacts) -> dict[str, Any]:
    candidate = facts.candidate
    return {
        "version": facts.tag,
        "pointers": facts.pointers,
        **(asdict(facts.version) if facts.version is not None else {}),
        "task": facts.task.title if facts.task is not None else None,
        "reward_mean": candidate.reward_mean if candidate is not None else None,
        "audit_gain": candidate.audit_gain if candidate is not None else None,
        "self_edit": candidate.completion if candidate is not None else None,
        "manifest": facts.stored.manifest,
    }


def _answers(one: AnswerChanges) -> dict[str, Any]:
    question = one.question
    return {
        "task": one.task_title,
        "split": question.split,
        "question": question.text,
        "expected": question.answers,
        "first": _answer(one.first),
        "second": _answer(one.second),
    }


def _answer(answer: Answer | None) -> dict[str, Any] | None:
    return None if answer is None else {"text": answer.text, "correct": answer.correct}
