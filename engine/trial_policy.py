"""The policy that a round has trained and not yet judged: kept in the cache, so that a crash costs no training."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.bank.job import spread_points
from engine.lora.files import adapter_files
from engine.policy_training import train_policy
from engine.proposing import Policy
from store.adapter_files import ADAPTER_NAMES, hash_adapter
from store.durable import remove, write_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.bank.job import InnerResult
    from engine.session import Session
    from store.records import Candidate, Round

_RECORD = "training.json"
_MOST_LOSSES = 200


@dataclass(frozen=True, slots=True)
class TrialPolicy:
    """A policy without a version, and how its training went: steps, tokens, losses in nats per token."""

    policy: Policy
    training: dict[str, Any]


def trial_policy(session: Session, current: Round, policy: Policy, kept: Sequence[Candidate]) -> TrialPolicy:
    """Train the next policy, or take up the one that an interrupted round has trained already."""
    folder = _folder(session, current)
    if not folder.is_dir():
        result = train_policy(session, policy.adapter, kept, current.number)
        record = json.dumps(_training(result)).encode("utf-8")
        write_folder(folder, {**adapter_files(result.adapter, session.base.name), _RECORD: record})
    files = {name: (folder / name).read_bytes() for name in ADAPTER_NAMES}
    record_file = folder / _RECORD
    training = json.loads(record_file.read_bytes()) if record_file.is_file() else {}
    return TrialPolicy(Policy(session.read(files, str(folder)), None, hash_adapter(files)), training)


def drop_trial(session: Session, current: Round) -> None:
    """Forget it: it is a version now, or was judged too weak."""
    folder = _folder(session, current)
    if folder.is_dir():
        remove(folder)


def _folder(session: Session, current: Round) -> Path:
    return session.workspace.cache_folder / f"policy-of-round-{current.number}"


def _training(result: InnerResult) -> dict[str, Any]:
    losses = [result.losses[place] for place in spread_points(len(result.losses), _MOST_LOSSES)]
    return {
        "steps": result.steps,
        "trained_tokens": result.tokens,
        "elapsed_s": result.elapsed_s,
        "losses": [loss if math.isfinite(loss) else None for loss in losses],
    }
