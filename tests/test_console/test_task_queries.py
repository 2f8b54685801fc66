from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from seal_console.queries.tasks import SORTS, TasksQuery, newest_task_key, task_facts, task_keys, task_rows, tasks_since
from store.answers import record_base_answers
from store.errors import WrongUseError
from store.records import Answer, Document
from store.tasks import add_documents, add_tasks
from tests.test_console.cli_scenario import make_task
from tests.test_console.version_scenario import accepted

if TYPE_CHECKING:
    from tests.test_console.cli_scenario import CandidateMaker


def titles(maker: CandidateMaker, text: str = "", sort: str = "weakness", *, backwards: bool = False) -> list[str]:
    keys = task_keys(maker.db, TasksQuery(text, sort, backwards))
    rows = task_rows(maker.db, keys)
    return [rows[key].title for key in keys]


@pytest.fixture
def with_more(maker: CandidateMaker) -> CandidateMaker:
    """The task "Returns" was asked of the base, "Shipping" and "Warranty" were not."""
    document = Document("sha256:d1", "pages/shipping.md", "Shipping", "sha256:0", "2026-01-02T00:00:00.000Z")
    add_documents(maker.db, [document])
    shipping = replace(make_task("Shipping", "How fast?"), document_id=document.id, added_at="2026-01-02T03:04:05.000Z")
    add_tasks(maker.db, [shipping, replace(make_task("Warranty"), imported=True)])
    return maker


def test_weak_is_what_the_live_model_is_recorded_to_answer_wrong(with_more: CandidateMaker) -> None:
    keys = task_keys(with_more.db, TasksQuery())
    rows = task_rows(with_more.db, keys)
    assert [(rows[key].title, rows[key].weakness, rows[key].asked) for key in keys] == [
        ("Returns", 1.0, 2), ("Shipping", None, 0), ("Warranty", None, 0),
    ]  # fmt: skip


def test_a_question_that_two_bases_answered_counts_once_by_its_newest_answer(with_more: CandidateMaker) -> None:
    newer = [
        Answer(one.id, None, 0, "before", "base", "30 days", 1.0, correct=True, base_fingerprint="sha256:new")
        for one in with_more.task.questions
    ]
    record_base_answers(with_more.db, newer)
    row = next(iter(task_rows(with_more.db, task_keys(with_more.db, TasksQuery("Returns"))).values()))
    assert (row.title, row.weakness, row.asked) == ("Returns", 0.0, 2)
    facts = task_facts(with_more.db, row.key)
    assert facts is not None
    assert [one.today for one in facts.questions] == newer


def test_what_was_asked_of_the_base_says_nothing_of_the_version_that_is_live_now(with_more: CandidateMaker) -> None:
    accepted(with_more, 0.5)  # its own exam, with the adapter that is live now, went right
    (key,) = task_keys(with_more.db, TasksQuery("title:returns"))
    assert (task_rows(with_more.db, [key])[key].weakness, task_rows(with_more.db, [key])[key].asked) == (0.0, 2)
    facts = task_facts(with_more.db, key)
    assert facts is not None
    assert facts.today == "v0001"
    assert [one.today and one.today.text for one in facts.questions] == ["30 days", "30 days"]


def test_the_orders(with_more: CandidateMaker) -> None:
    with_more.examined(0.5)
    assert titles(with_more, sort="title") == ["Returns", "Shipping", "Warranty"]
    assert titles(with_more, sort="title", backwards=True) == ["Warranty", "Shipping", "Returns"]
    assert titles(with_more, sort="best reward")[0] == "Returns"
    for sort in SORTS:
        assert sorted(titles(with_more, sort=sort)) == ["Returns", "Shipping", "Warranty"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30 title:returns", ["Returns"]),
        ("weakness>0.5", ["Returns"]),
        ("asked=0", ["Shipping", "Warranty"]),
        ("question:fast", ["Shipping"]),
        ("document:pages/", ["Shipping"]),
        ("imported:1", ["Warranty"]),
        ("-imported:1", ["Returns", "Shipping"]),
        ("added<=2026-01-02", ["Shipping"]),
        ("added>2026-01-02", ["Returns", "Warranty"]),
        ("reward=1 audit=1 title:r -title:ship", ["Returns", "Warranty"]),
        ("best>0", []),
    ],
)
def test_filters(with_more: CandidateMaker, text: str, expected: list[str]) -> None:
    assert titles(with_more, text) == expected


def test_a_filter_that_cannot_be_read_is_refused(maker: CandidateMaker) -> None:
    with pytest.raises(WrongUseError, match="did you mean 'weakness'"):
        titles(maker, "weekness>1")
    with pytest.raises(WrongUseError, match="is a time"):
        titles(maker, "added>")


def test_new_tasks_are_counted_if_they_match_the_filter(maker: CandidateMaker) -> None:
    newest = newest_task_key(maker.db)
    add_tasks(maker.db, [make_task("Shipping"), make_task("Warranty")])
    assert tasks_since(maker.db, "", newest) == 2
    assert tasks_since(maker.db, "ship", newest) == 1


def test_a_task_with_its_document_and_its_best_self_edit(with_more: CandidateMaker) -> None:
    with_more.examined(0.25)
    best = with_more.examined(0.5)
    (key,) = task_keys(with_more.db, TasksQuery("title:returns"))
    facts = task_facts(with_more.db, key)
    assert facts is not None
    assert (facts.best_candidate, facts.best_reward, facts.candidates, facts.today) == (best.id, 0.5, 2, "base")
    (key,) = task_keys(with_more.db, TasksQuery("title:shipping"))
    facts = task_facts(with_more.db, key)
    assert facts is not None
    assert facts.document is not None
    assert (facts.document.path, facts.best_candidate) == ("pages/shipping.md", None)
    assert [one.today for one in facts.questions] == [None, None]
    assert task_facts(with_more.db, 999) is None
