"""Accounts are read as they were written, by processes that may have been killed while they wrote."""

from __future__ import annotations

from pathlib import Path

from s3queue.core.keys import Layout
from stress.chaos.accounts import Run, gather
from stress.chaos.notes import Assigned, Done, End, Note, Notebook, Ruled, Start

LAYOUT = Layout("n")


def start(number: int, slot: int = 0) -> Start:
    return Start(float(number), "a.1", 10, 10, "s1", f"m{number}", number, 1, 1 << 32, slot=slot)


def end(number: int, how: str = "ok") -> End:
    return End(number + 0.5, how, f"m{number}", 1 << 32)


def read(folder: Path, *notes: Note, torn: bytes = b"") -> dict[str, Run]:
    book = Notebook(folder / "runs", "a.1")
    for note in notes:
        book.write(note)
    (file,) = (folder / "runs").glob("*")
    with file.open("ab") as more:
        more.write(torn)
    return {run.start.message: run for run in gather(folder, LAYOUT).runs}


def test_the_last_start_without_an_end_is_what_the_process_died_at(tmp_path: Path) -> None:
    runs = read(tmp_path, start(0), end(0), start(1))
    assert (runs["m0"].how, runs["m0"].ended_at, runs["m0"].last, runs["m0"].followed_at) == ("ok", 0.5, False, 1.0)
    assert (runs["m1"].how, runs["m1"].ended_at, runs["m1"].last, runs["m1"].followed_at) == ("", None, True, None)


def test_with_several_slots_an_end_belongs_to_the_start_that_it_names(tmp_path: Path) -> None:
    notes = start(0, 1), start(1, 2), end(1, "retry"), start(2, 2), end(2), start(3, 2), end(3)
    runs = read(tmp_path, *notes)
    assert [runs[f"m{number}"].how for number in range(4)] == ["", "retry", "ok", "ok"]
    assert [runs[f"m{number}"].last for number in range(4)] == [True, False, False, True]


def test_what_a_slot_was_at_is_its_last_call_whatever_others_have_started_since(tmp_path: Path) -> None:
    """Its result may have been on its way to the store."""
    runs = read(tmp_path, start(0, 1), end(0), start(1, 2), end(1), start(2, 2), end(2))
    assert [runs[f"m{number}"].last for number in range(3)] == [True, False, True]
    assert [runs[f"m{number}"].followed_at for number in range(3)] == [None, 2.0, None]


def test_a_line_that_was_cut_off_is_no_line(tmp_path: Path) -> None:
    runs = read(tmp_path, start(0), torn=b'{"note":"End","at":0.5,"ho')
    assert runs["m0"].how == ""


def test_deaths_are_those_that_were_brought_about_and_those_that_a_supervisor_saw(tmp_path: Path) -> None:
    book = Notebook(tmp_path, "faults")
    book.write(Done(1.0, "kill", "worker", "a.1", (11,)))
    book.write(Done(2.0, "stop", "tree", "a.1", (12,)))
    history = tmp_path / "history" / "a.1"
    history.mkdir(parents=True)
    (history / "supervisor-1.jsonl").write_text(
        '{"kind":"worker_died","cause":"killed","text":"worker 0 (process 13) was killed by SIGKILL"}\n'
        '{"kind":"draining","why":"asked to"}\n'
    )
    accounts = gather(tmp_path, LAYOUT)
    assert accounts.dead_pids == {11}
    assert accounts.dead == {("a.1", 13)}


def test_a_ticket_is_of_the_first_board_that_was_stored_with_it(tmp_path: Path) -> None:
    """A new leader writes down all that are on its first one."""
    book = Notebook(tmp_path / "store", "a.1")
    parts = {name: [(f"in/q/5/{name}", 0, 1, 1)] for name in ("1-1", "1-2", "1-3")}
    for turn, nonce, names in (
        (1, "lost", ("1-3",)),
        (1, "n1", ("1-1",)),
        (2, "n2", ("1-1", "1-2")),
        (3, "n3", ("1-3",)),
    ):
        book.write(Assigned(1.0, turn, nonce, {name: parts[name] for name in names}))
        if nonce != "lost":
            book.write(Ruled(1.0, "a.1", 1, turn, nonce, "stored", 0))
    assigned = gather(tmp_path, LAYOUT).assigned
    assert {turn: list(one.tickets) for turn, one in assigned.items()} == {1: ["1-1"], 2: ["1-2"], 3: ["1-3"]}
