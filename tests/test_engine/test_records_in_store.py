from __future__ import annotations

from typing import TYPE_CHECKING

from engine.lab.published_runs.records import numbered, read_published_run
from engine.loop.export_sft import sft_rows
from engine.loop.reward import reward_of_answers
from engine.loop.select import score_candidate, select
from engine.tasks.reading import read_tasks
from store.candidates import add_candidates, answers_of, list_candidates, record_examined
from store.database import create_database, transaction
from store.rounds import finish_round, start_round
from store.tasks import add_documents, add_tasks, get_task
from tests.published_run import best_rows, write_published_run

if TYPE_CHECKING:
    from pathlib import Path


def test_tasks_of_documents_come_back_as_they_were_read(tmp_path: Path) -> None:
    (tmp_path / "r.md").write_text("# Returns\nNow 30 days.", encoding="utf-8")
    question_file = tmp_path / "r.questions.yaml"
    question_file.write_text("- {question: How long, answer: 30, grader: number, options: {abs_tolerance: 0.5}}\n")
    found = read_tasks([tmp_path / "r.md"], audit_share=0.25, root=tmp_path)
    db = create_database(tmp_path / "seal.db")
    add_documents(db, found.documents)
    add_tasks(db, found.tasks)
    assert get_task(db, found.tasks[0].id) == found.tasks[0]
    with question_file.open("a", encoding="utf-8") as stream:
        stream.write("- {question: Since when, answer: May}\n")
    longer = read_tasks([tmp_path / "r.md"], audit_share=0.25, root=tmp_path)
    assert len(add_tasks(db, longer.tasks).new_ids) == 1
    db.close()


def test_a_published_run_goes_through_the_store_to_seals_own_rows(tmp_path: Path) -> None:
    run = read_published_run(write_published_run(tmp_path / "rank_iter0.json"))
    db = create_database(tmp_path / "seal.db")
    with transaction(db):
        add_tasks(db, run.tasks)
        round_number = start_round(
            db, seed=0, settings=run.round.settings, live_version=None, policy_version=None, imported=True
        ).number
        run = numbered(run, round_number)
        add_candidates(db, [published.candidate for published in run.candidates])
        for published in run.candidates:
            record_examined(
                db,
                published.candidate.id,
                updates=published.updates,
                answers=published.answers,
                gates=[],
                reward_mean=published.reward.mean,
                reward_std=published.reward.std,
                audit_gain=None,
                adapter_hash=None,
            )
        finish_round(db, round_number, "done", run.round.summary or {})
    candidates = list_candidates(db, round_number=round_number)
    rewarded = []
    for candidate in candidates:
        answers = answers_of(db, candidate.id)
        before = [answer for answer in answers if answer.phase == "before"]
        after = [answer for answer in answers if answer.phase == "after"]
        asked = [question.id for question in get_task(db, candidate.task_id).questions]
        reward = reward_of_answers(before, after, asked)
        assert (reward.mean, reward.std) == (candidate.reward_mean, candidate.reward_std)
        rewarded.append(score_candidate(candidate.id, candidate.task_id, candidate.position, reward))
    assert sft_rows(candidates, select(rewarded, mode="paper")) == best_rows()
    db.close()
