"""Nothing of the audit split leaves the database: not to the policy, into training, to a judge, into files or exports.

The audit's questions and answers hold words that stand nowhere else; every way out of the engine is searched for them.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from engine.bank.training import InnerUpdateBank
from engine.bundled.vocabulary import VALUES
from engine.bundled.world import known_things
from engine.continual.build_plan import MIN_ANCHORS
from engine.demo.documents import write_documents
from engine.loop.accept import accept_candidate
from engine.loop.reexamine import reexamine
from engine.loop.round import run_round
from engine.loop.session import open_session
from engine.tasks.reading import read_tasks
from engine.writers.local import LocalWriter
from seal_console.cli.main import main
from seal_console.engine_control import LOG_NAME
from store.candidates import gates_of, list_candidates
from store.database import open_database
from store.jobs import add_job
from store.tasks import add_documents, add_tasks, get_task
from store.verify import verify
from store.workspace import Workspace, create_workspace
from tests.judge_server import LocalJudge, local_judge
from tests.system.engine_process import ended, started_engines
from tests.system.workspaces import SMALL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from engine.bank.job import InnerJob
    from engine.loop.session import Session
    from engine.writers.writer import WritingRequest
    from store.records import Candidate, Question, Task

MARKER = "zyxomark"
KNOWN = known_things()[0]
CITY = KNOWN.kind.relations[0]
RULES = [
    # Finds the audit's questions by any single word, so that the rule's evidence has every occasion to quote them.
    {"rule": "leak", "kind": "leak", "max_share": 0.0, "words": 1},
]


@dataclass
class Outgoing:
    """All that left the engine while it worked, by where it went."""

    texts: dict[str, list[str]] = field(default_factory=dict)

    def note(self, where: str, text: str) -> None:
        self.texts.setdefault(where, []).append(text)

    def leaks(self) -> list[str]:
        """Where a marker was seen."""
        return sorted({where for where, texts in self.texts.items() for text in texts if has_marker(text)})


def has_marker(text: str | bytes) -> bool:
    content = text.lower() if isinstance(text, bytes) else "".join(text.lower().split()).encode()
    return MARKER.encode() in content


def marked_workspace(folder: Path) -> Workspace:
    """Pages whose first two questions are the audit's: one marked in its answers, one in its text as well."""
    settings = SMALL.format(model="bundled", train=2, held_out=1, per_task=1, epochs=10, repeats=1)
    settings = settings.replace("round:\n", "round:\n  selection: paper\n")
    settings = settings.replace("retention:\n  gate: null\n", "retention:\n  gate: each\n  earlier_losses: 99\n")
    settings += "protection:\n  replay_ratio: 0\n"  # so that one edit undoes another
    workspace = create_workspace(folder, settings)
    pages = write_documents(workspace.tasks_folder, pages=3, notes=0, untouched=0, seed=1).pages
    for path in pages.glob("*.questions.yaml"):
        first, second, *others = yaml.safe_load(path.read_text(encoding="utf-8"))
        marked = [
            {"question": first["question"], "answers": [first["answer"], f"{MARKER} one"], "split": "audit"},
            {"question": f"{second['question']} {MARKER}", "answers": [second["answer"], f"{MARKER} two"],
             "split": "audit"},
        ]  # fmt: skip
        entries = [*marked, *({**other, "split": "reward"} for other in others)]
        path.write_text(yaml.safe_dump(entries, sort_keys=False), encoding="utf-8")
    anchors = [json.dumps({"anchor": f"The box {number} holds cups."}) for number in range(MIN_ANCHORS)]
    (workspace.retention_folder / "anchors.jsonl").write_text("\n".join(anchors) + "\n", encoding="utf-8")
    found = read_tasks([pages], audit_share=0.0, root=workspace.root)
    db = open_database(workspace.database_file)
    add_documents(db, found.documents)
    add_tasks(db, found.tasks)
    db.close()
    return workspace


def write_policy(workspace: Workspace, judge: LocalJudge) -> None:
    other = next(city for city in VALUES[CITY.value_type] if city != KNOWN.value(CITY))
    prompt = {"name": "city", "question": CITY.questions[0].format(n=KNOWN.name), "must": "not_say", "texts": other,
              "verdict": "note"}  # fmt: skip
    sections = {
        "rules": RULES,
        "red_team": {"prompts": [prompt]},
        "judge": {"url": judge.url, "model": "m", "constitution": "Be kind.", "timeout_s": 60, "verdict": "note"},
    }
    workspace.guardrails_file.write_text(yaml.safe_dump(sections), encoding="utf-8")


def watch(monkeypatch: pytest.MonkeyPatch, seen: Outgoing) -> None:
    """Note what the policy is asked and what every bank trains on, as the model's own tokens spell it."""
    train = InnerUpdateBank.train

    def noted_train(bank: InnerUpdateBank, jobs: Sequence[InnerJob], **keys: Any) -> Any:
        for job in jobs:
            where = "policy training" if job.key.startswith("policy of round") else "inner updates"
            beside = [sequence for group in job.replay_groups for sequence in group.sequences]
            for sequence in [*job.sequences, *beside]:
                seen.note(where, bank._base.tokenizer.decode(sequence.tokens))
        return train(bank, jobs, **keys)

    monkeypatch.setattr(InnerUpdateBank, "train", noted_train)
    _watch_policy(monkeypatch, seen)


def _watch_policy(monkeypatch: pytest.MonkeyPatch, seen: Outgoing) -> None:
    write = LocalWriter.write

    def noted_write(writer: LocalWriter, requests: Sequence[WritingRequest], *rest: Any) -> Any:
        for request in requests:
            seen.note("prompts to the policy", request.instructions + request.prompt)
        return write(writer, requests, *rest)

    monkeypatch.setattr(LocalWriter, "write", noted_write)


def audit_of(task: Task) -> list[Question]:
    return [question for question in task.questions if question.split == "audit"]


def accepted_edits(session: Session) -> list[Candidate]:
    """Accept an edit that teaches an audit answer in an operator's words, and one of another task that undoes it."""
    (first, of_first), (second, of_second) = (
        (one, get_task(session.db, one.task_id))
        for one in list_candidates(session.db, role="train", round_number=1, derived=False)
    )
    plain, marked = audit_of(of_first)
    asked = plain.text
    other = next(question.answers[0] for question in of_second.questions if MARKER not in question.answers[0])
    distilled = f"Question: {asked}\nAnswer: {plain.answers[0]}\nQuestion: {marked.text.removesuffix(MARKER)}"
    made = []
    for original, lines in ((first, distilled), (second, f"Question: {asked}\nAnswer: {other}")):
        edit = {"candidate": original.id, "completion": f"{lines}\n{lines}"}
        made.append(reexamine(session, edit, "Ada"))
        accept_candidate(session.workspace, session.db, made[-1].id, actor="Ada", reason="good")
    return made


def git_objects(repository: Path) -> bytes:
    """Every object of the repository as it reads, unreachable ones among them."""
    git = ["git", "-C", str(repository), "cat-file", "--batch-all-objects"]
    return subprocess.run([*git, "--batch"], check=True, capture_output=True).stdout


def note_files(workspace: Workspace, seen: Outgoing) -> None:
    """Note all that lies in the workspace but the database and tasks/, and all that git holds."""
    for path in workspace.root.rglob("*"):
        place = path.relative_to(workspace.root)
        if path.is_file() and place.parts[0] != "tasks" and not place.name.startswith("seal.db"):
            where = "/".join(place.parts[:2]) if place.parts[0] == "cache" else place.parts[0]
            seen.note(f"file {where}", path.read_bytes().decode("utf-8", "replace"))
            seen.note("names of files", str(place))
    seen.note("git objects", git_objects(workspace.adapters_folder).decode("utf-8", "replace"))


def served_round(workspace: Workspace, edited: str) -> None:
    """Let the engine that a console starts run a round and examine an edit, as its log tells."""
    with closing(open_database(workspace.database_file)) as db, started_engines() as start:
        asked = [add_job(db, "run", {"rounds": 1}, "Ada")]
        asked.append(add_job(db, "reexamine", {"candidate": edited, "completion": "It is kept in a box."}, "Ada"))
        start(workspace)
        assert [ended(db, request.id) for request in asked] == ["done", "done"]
        assert verify(workspace, db).problems == []


def note_exports(workspace: Workspace, seen: Outgoing, capsys: pytest.CaptureFixture[str]) -> None:
    for round_number in ("1", "2"):
        capsys.readouterr()
        assert main(["-w", str(workspace.root), "export", "sft", "--round", round_number]) == 0
        seen.note("exported SFT", capsys.readouterr().out)


@pytest.fixture
def judge() -> Iterator[LocalJudge]:
    with local_judge() as serving:
        yield serving


def test_nothing_of_the_audit_leaves_the_database(
    tmp_path: Path, judge: LocalJudge, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = Outgoing()
    workspace = marked_workspace(tmp_path / "w")
    write_policy(workspace, judge)
    watch(monkeypatch, seen)
    with open_session(workspace, "test") as session:
        tokenizer = session.base.tokenizer
        assert has_marker(tokenizer.decode(tokenizer.encode(f"Where is {MARKER}?")))
        run_round(session)
        made = accepted_edits(session)
        run_round(session)
        first, second = ({gate.gate: gate.evidence for gate in gates_of(session.db, one.id)} for one in made)
        assert verify(workspace, session.db).problems == []
    served_round(workspace, made[0].id)
    for request in judge.requests:
        seen.note("judge's requests", json.dumps(request, ensure_ascii=False))
    note_files(workspace, seen)
    note_exports(workspace, seen, capsys)
    assert seen.leaks() == []
    # Without these nothing might have been found because nothing was there to be found.
    assert has_marker(json.dumps(first["rule:leak"]))
    assert has_marker(json.dumps(second["earlier edits"]["lost"]))
    assert {"red team", "judge"} <= set(first)
    assert set(seen.texts) >= {
        "prompts to the policy", "inner updates", "policy training", "judge's requests", "file adapters",
        "file cache/adapters", "file cache/curvature", "file cache/judge.jsonl", f"file cache/{LOG_NAME}",
        "git objects", "exported SFT",
    }  # fmt: skip
    assert "Round 3" in "".join(seen.texts[f"file cache/{LOG_NAME}"])
    assert "v0002" in "".join(seen.texts["git objects"])
