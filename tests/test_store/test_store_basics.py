from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import store
from store.clock import epoch_s, utc_now
from store.durable import TEMPORARY_SUFFIX, list_leftovers, making_folder, write_file, write_folder
from store.errors import LockedError, WrongUseError
from store.hashing import canonical_json, hash_bytes, hash_file, hash_json, hash_text
from store.lock import hold_lock, lock_owner
from store.records import Answer, Candidate, Event, InnerUpdate, Move, Round
from store.rows import from_row, to_row
from store.workspace import Workspace, create_workspace, find_workspace

SOURCE = str(Path(str(store.__file__)).parents[1])
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=10,
)
json_objects = st.dictionaries(text, json_values, max_size=4)


@given(json_values)
def test_canonical_json_is_one_form_of_a_value(value: Any) -> None:
    written = canonical_json(value)
    assert json.loads(written) == value
    assert canonical_json(json.loads(written)) == written
    assert hash_json(value) == hash_text(written)


@given(json_objects)
def test_canonical_json_does_not_depend_on_order(value: dict[str, Any]) -> None:
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [-float("inf")]])
def test_canonical_json_refuses_what_json_cannot_say(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(value)


@given(st.binary(max_size=100))
def test_hashes_are_tagged_sha256(content: bytes) -> None:
    assert hash_bytes(content) == "sha256:" + hashlib.sha256(content).hexdigest()


def test_hash_file(tmp_path: Path) -> None:
    content = b"x" * 3_000_000
    (tmp_path / "f").write_bytes(content)
    assert hash_file(tmp_path / "f") == hash_bytes(content)


def test_times_have_milliseconds_and_a_z() -> None:
    now = utc_now()
    assert (len(now), now[-1], now[-5]) == (24, "Z", ".")
    assert epoch_s("1970-01-02T00:00:00.500Z") == 86_400


floats = st.floats(allow_nan=False, allow_infinity=False, width=32)
integers = st.integers(0, 2**62)


@pytest.mark.parametrize("kind", [Answer, Candidate, Event, InnerUpdate, Move, Round])
@settings(max_examples=25)
@given(data=st.data())
def test_rows_and_records_go_both_ways(kind: type[Any], data: st.DataObject) -> None:
    strategies: dict[str, st.SearchStrategy[Any]] = {
        "int": integers,
        "int | None": st.none() | integers,
        "float": floats,
        "float | None": st.none() | floats,
        "bool": st.booleans(),
        "str | None": st.none() | text,
        "dict[str, Any]": json_objects,
        "dict[str, Any] | None": st.none() | json_objects,
        "list[str]": st.lists(text, max_size=3),
        "list[float]": st.lists(floats, max_size=3),
        "list[int]": st.lists(integers, max_size=3),
    }
    record = kind(**{f.name: data.draw(strategies.get(str(f.type), text)) for f in fields(kind)})
    row = to_row(record)
    assert all(value is None or type(value) in (int, float, str) for value in row.values())
    assert from_row(kind, row) == record


def test_rows_refuse_numbers_that_are_not_finite() -> None:
    @dataclass
    class LossRecord:
        loss: float

    with pytest.raises(ValueError, match="loss is nan"):
        to_row(LossRecord(float("nan")))


def test_write_file_replaces_and_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "a"
    write_file(target, b"1")
    write_file(target, b"2")
    assert target.read_bytes() == b"2"
    assert list(tmp_path.iterdir()) == [target]


def test_write_folder_is_idempotent(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "folder"
    write_folder(target, {"a": b"1", "b": b"2"})
    write_folder(target, {"a": b"other"})
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {"a": b"1", "b": b"2"}
    assert list(target.parent.iterdir()) == [target]


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a"
    write_file(target, b"1")

    def fail(_: int) -> None:
        raise OSError("no space")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="no space"):
        write_file(target, b"2")
    assert target.read_bytes() == b"1"
    assert list(tmp_path.iterdir()) == [target]


def test_leftovers_are_those_of_dead_processes(tmp_path: Path) -> None:
    dead = tmp_path / f".a.4194399.abc.def{TEMPORARY_SUFFIX}"
    reborn = tmp_path / f".a.{os.getpid()}.other.def{TEMPORARY_SUFFIX}"
    living = tmp_path / f".a.{os.getppid()}.abc.def{TEMPORARY_SUFFIX}"
    for path in (dead, reborn, living):
        path.touch()
    assert sorted(list_leftovers(tmp_path)) == sorted([dead, reborn])


def test_a_workspace_is_found_in_order(tmp_path: Path) -> None:
    one, two = (create_workspace(tmp_path / name, "x: 1\n") for name in ("one", "two"))
    below = one.tasks_folder
    assert find_workspace(None, {}, below) == one
    assert find_workspace(None, {"SEAL_WORKSPACE": str(two.root)}, below) == two
    assert find_workspace(one.root, {"SEAL_WORKSPACE": str(two.root)}, tmp_path) == one
    with pytest.raises(WrongUseError) as caught:
        find_workspace(None, {}, tmp_path)
    assert "seal-console init DIR" in caught.value.next_step
    with pytest.raises(WrongUseError, match="SEAL_WORKSPACE"):
        find_workspace(None, {"SEAL_WORKSPACE": str(tmp_path)}, below)


def test_a_workspace_is_not_made_twice(tmp_path: Path) -> None:
    workspace = create_workspace(tmp_path / "w", "x: 1\n")
    assert workspace.settings_file.read_text() == "x: 1\n"
    with pytest.raises(WrongUseError, match="already"):
        create_workspace(tmp_path / "w", "x: 2\n")
    workspace.settings_file.unlink()
    assert create_workspace(tmp_path / "w", "x: 3\n") == Workspace(workspace.root)


def test_a_workspace_that_cannot_be_made_leaves_no_suites_and_keeps_those_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "w" / "retention" / "mine.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("suite: mine\n")
    suites = {"mine.yaml": "suite: other\n", "new.yaml": "suite: new\n"}

    def fail_at_settings(path: Path, content: bytes) -> None:
        if path.name == "seal.yaml":
            raise RuntimeError("boom")
        write_file(path, content)

    monkeypatch.setattr("store.workspace.write_file", fail_at_settings)
    with pytest.raises(RuntimeError, match="boom"):
        create_workspace(tmp_path / "w", "x: 1\n", None, suites)
    assert [path.name for path in mine.parent.iterdir()] == ["mine.yaml"]
    assert mine.read_text() == "suite: mine\n"
    monkeypatch.undo()
    create_workspace(tmp_path / "w", "x: 1\n", None, suites)
    assert mine.read_text() == "suite: mine\n"
    assert mine.with_name("new.yaml").read_text() == "suite: new\n"


def test_a_lock_names_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert lock_owner(path) is None
    with hold_lock(path, "run --rounds 3") as owner:
        assert lock_owner(path) == owner
        assert owner.pid == os.getpid()
        with pytest.raises(LockedError, match=r"run --rounds 3\) since 20"), hold_lock(path, "other", wait_s=0):
            pass
    assert lock_owner(path) is None
    with hold_lock(path, "other"):
        pass


def test_two_who_look_at_a_free_lock_at_once_see_no_owner(tmp_path: Path) -> None:
    path = tmp_path / "engine.lock"
    with path.open("w+") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert lock_owner(path) is None


def test_a_lock_frees_itself_when_its_owner_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import sys, time; from pathlib import Path; from store.lock import hold_lock\n"
        "with hold_lock(Path(sys.argv[1]), 'child'):\n    print('held', flush=True); time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], env=environment, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match=f"process {child.pid} "), hold_lock(path, "me", wait_s=0):
            pass
        child.kill()
        child.wait()
        with hold_lock(path, "me"):
            pass


def test_the_store_knows_no_model_library() -> None:
    code = (
        "import sys, store.workspace, store.versions, store.verify, store.recovery\n"
        "print([n for n in ('torch', 'transformers', 'peft', 'textual', 'rich', 'click') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": SOURCE}, check=True, capture_output=True
    )
    assert done.stdout.strip() in {b"[]", b"['click']"}  # sqlite-utils itself imports click


def test_a_folder_is_made_whole_or_not_at_all(tmp_path: Path) -> None:
    target, leftover = tmp_path / "deep" / "m", tmp_path / "deep" / f".m.999999999.dead.beef{TEMPORARY_SUFFIX}"
    leftover.mkdir(parents=True)

    def fail() -> None:
        with making_folder(target) as folder:
            (folder / "part").write_text("1")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert list(target.parent.iterdir()) == []
    with making_folder(target) as folder:
        (folder / "inside").mkdir()
        (folder / "inside" / "part").write_text("1")
        assert not target.exists()
    assert (target / "inside" / "part").read_text() == "1"
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_that_another_process_made_meanwhile_stays(tmp_path: Path) -> None:
    target = tmp_path / "m"

    def make() -> None:
        with making_folder(target):
            target.mkdir()
            (target / "theirs").touch()

    with pytest.raises(WrongUseError, match="was made by another process meanwhile"):
        make()
    assert [one.name for one in tmp_path.iterdir()] == ["m"]
    assert (target / "theirs").exists()


def test_a_folder_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WrongUseError, match="cannot be made"), making_folder(tmp_path / "file" / "m"):
        pass
