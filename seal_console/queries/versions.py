"""The versions as a list with their graph, and all facts about one of them.

Number 0 is the state before the first acceptance: the base model alone.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from store.adapter_files import MANIFEST_NAME
from store.candidates import gates_of, get_candidate
from store.database import fetch
from store.errors import SealError
from store.hashing import hash_bytes
from store.manifest import read_manifest
from store.repository import Repository
from store.tasks import get_task
from store.version_rows import get_policy_version, get_version, list_moves, list_policy_versions, list_versions
from store.version_tags import version_tag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlite_utils import Database

    from store.records import Candidate, GateResult, Move, PolicyVersion, Task, Version
    from store.workspace import Workspace


ROOT = 0


@dataclass(frozen=True, slots=True)
class VersionLine:
    """One line of the list. `parent` is None for the root alone; `pointers` are "live" and "shadow"."""

    number: int
    tag: str
    parent: int | None
    pointers: tuple[str, ...]
    reason: str
    accepted_by: str
    created_at: str
    candidate_id: str | None = None
    reward_mean: float | None = None
    audit_gain: float | None = None


@dataclass(frozen=True, slots=True)
class History:
    """Versions, the root among them, and policies; both the newest first."""

    versions: list[VersionLine]
    policies: list[PolicyVersion]


@dataclass(frozen=True, slots=True)
class StoredAdapter:
    """A commit's manifest, and whether it is the recorded one; `problem` if it cannot be read."""

    manifest: dict[str, Any] = field(default_factory=dict)
    is_the_recorded_one: bool = False
    problem: str = ""

    @property
    def repeats(self) -> int:
        """How many inner updates the version's figures rest on; 0 if the manifest does not say."""
        return len(self.manifest.get("inner_updates") or [])


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """All that is known of a version; the root has neither version, candidate nor task.

    `missing_files` says which files of the live version somebody deleted from adapters/; "" if none.
    """

    number: int
    tag: str
    pointers: tuple[str, ...]
    moves: list[Move]
    version: Version | None = None
    candidate: Candidate | None = None
    task: Task | None = None
    gates: list[GateResult] = field(default_factory=list)
    stored: StoredAdapter = field(default_factory=StoredAdapter)
    missing_files: str = ""


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """All that is known of a policy version."""

    policy: PolicyVersion
    newest: bool
    stored: StoredAdapter


def history(db: Database) -> History:
    """Read all versions and policies."""
    pointed = pointers(db)
    figures = {
        row["number"]: row
        for row in fetch(
            db,
            "SELECT versions.number, reward_mean, audit_gain FROM versions "
            "JOIN candidates ON candidates.id = versions.candidate_id",
        )
    }
    found = [
        VersionLine(
            number=one.number,
            tag=one.tag,
            parent=one.parent_number or ROOT,
            pointers=pointed.get(one.number, ()),
            reason=one.reason,
            accepted_by=one.accepted_by,
            created_at=one.created_at,
            candidate_id=one.candidate_id,
            reward_mean=figures[one.number]["reward_mean"],
            audit_gain=figures[one.number]["audit_gain"],
        )
        for one in list_versions(db)
    ]
    root = VersionLine(ROOT, version_tag(ROOT), None, pointed.get(ROOT, ()), "the base model alone", "", "")
    return History([*reversed(found), root], list_policy_versions(db)[::-1])


def pointers(db: Database) -> dict[int, tuple[str, ...]]:
    """Return what points at each version now, by number: "live", "shadow". If nothing was accepted, 0 is live."""
    newest: dict[str, int | None] = {"live": None}
    for move in list_moves(db):
        newest[move.name] = move.to_version
    found: dict[int, tuple[str, ...]] = {}
    for name, number in newest.items():
        if name == "live" or number is not None:
            found[number or ROOT] = (*found.get(number or ROOT, ()), name)
    return found


def version_facts(workspace: Workspace, db: Database, number: int) -> VersionFacts:
    """Read everything about a version. Raises WrongUseError if there is none of this number."""
    moves = [move for move in list_moves(db) if number in {move.from_version or ROOT, move.to_version or ROOT}]
    pointed = pointers(db).get(number, ())
    if number == ROOT:
        return VersionFacts(number, version_tag(number), pointed, moves)
    version = get_version(db, number)
    candidate = get_candidate(db, version.candidate_id)
    return VersionFacts(
        number=number,
        tag=version.tag,
        pointers=pointed,
        moves=moves,
        version=version,
        candidate=candidate,
        task=get_task(db, candidate.task_id),
        gates=gates_of(db, candidate.id),
        stored=_stored(workspace, version.commit, version.tag, version.manifest_hash),
        missing_files=files_that_are_missing(workspace) if "live" in pointed else "",
    )


def policy_facts(workspace: Workspace, db: Database, number: int) -> PolicyFacts:
    """Read everything about a policy. Raises WrongUseError if there is none of this number."""
    policy = get_policy_version(db, number)
    newest = max(one.number for one in list_policy_versions(db))
    return PolicyFacts(policy, policy.number == newest, _stored(workspace, policy.commit, policy.tag, None))


def files_that_are_missing(workspace: Workspace) -> str:
    """Return a sentence that names the files of the live version that adapters/ lacks, and the command; else ""."""
    try:
        missing = Repository.open(workspace.adapters_folder).missing_files()
    except SealError:
        return ""  # whoever opened the workspace has said so
    if not missing:
        return ""
    folder = shlex.quote(str(workspace.adapters_folder))
    return (
        f"{folder} lacks {', '.join(missing)} of the live version; git still has it. "
        f"Put it back: git -C {folder} reset --hard live"
    )


def _stored(workspace: Workspace, commit: str, tag: str, manifest_hash: str | None) -> StoredAdapter:
    """Read a manifest from git; one that cannot be read is no reason to show nothing."""
    try:
        content = Repository.open(workspace.adapters_folder).read_file(commit, MANIFEST_NAME)
        manifest = read_manifest(content, tag)
    except SealError as error:
        return StoredAdapter(problem=error.message)
    return StoredAdapter(manifest, manifest_hash is None or hash_bytes(content) == manifest_hash)


NODE, LANE = "●", "│"


def draw_graph(parents: Mapping[int, int | None]) -> dict[int, str]:
    """Return each number's part of the graph. A parent has a smaller number; if it is not drawn, the lane ends."""
    lanes: list[int | None] = []
    drawn: dict[int, str] = {}
    for number in sorted(parents, reverse=True):
        place = _place(lanes, number)
        parent = parents[number]
        known = parent if parent in parents else None
        joined_lane = lanes.index(known) if known is not None and known in lanes else None
        drawn[number] = _line(lanes, place, joined_lane)
        lanes[place] = None if joined_lane is not None else known
        while lanes and lanes[-1] is None:
            lanes.pop()
    return drawn


def _place(lanes: list[int | None], number: int) -> int:
    """Return the lane that waits for a number, else a free or new one."""
    for wanted in (number, None):
        if wanted in lanes:
            return lanes.index(wanted)
    lanes.append(None)
    return len(lanes) - 1


def _line(lanes: list[int | None], place: int, joined_lane: int | None) -> str:
    first, last = (place, place) if joined_lane is None else (min(place, joined_lane), max(place, joined_lane))
    line = ""
    for lane in range(len(lanes)):
        taken = lanes[lane] is not None
        across = first < lane < last
        if lane == place:
            sign = NODE
        elif lane == joined_lane:
            sign = "├" if joined_lane < place else "┤"
        elif across:
            sign = "┼" if taken else "─"
        else:
            sign = LANE if taken else " "
        line += sign + ("─" if first <= lane < last else " ")
    return line.rstrip()
