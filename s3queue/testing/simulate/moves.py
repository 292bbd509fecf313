"""Which ways a message may go on the board, and whose word each of them needs.

A message is settled by not being listed any more. So none may cease to be listed unless the ledger of its ticket's session
says that it ended well, or its dead letter is stored.
"""

from __future__ import annotations

from collections.abc import Iterator

from s3queue.core.keys import BORROWED, parse_source
from s3queue.core.records import decode_batch, decode_message, decode_moved
from s3queue.errors import CorruptRecord
from s3queue.testing.simulate.posts import DYING, EDITING, SETTLED, Move, Offset, Post
from s3queue.testing.simulate.story import Story, damaged

_LIVE = frozenset({"ticket", "ready", "waiting", "moving"})


def illegal(story: Story) -> list[tuple[str, str]]:
    """Moves that no rule allows: the invariant that each one breaks, and how. Several checkers ask."""
    if story.illegal is None:
        story.illegal = list(_illegal(story))
    return story.illegal


def _illegal(story: Story) -> Iterator[tuple[str, str]]:
    for move in story.moves:
        fault = _fault(story, move)
        if fault is not None:
            path, index = move.message
            yield fault[0], f"event {move.n}: message {index} of {path}, {move.old} to {move.new}: {fault[1]}"


def _fault(story: Story, move: Move) -> tuple[str, str] | None:
    old, new = move.old, move.new
    if old is None:
        return _admitted(story, move)
    if _is_cancelled(story, move) or _is_expired(story, move):
        return None
    if old == SETTLED:
        return None if new is None else ("I3", "it was settled")
    if new is None:
        return "P1", "it left the board, and was not settled"
    if old == EDITING:
        return None if _is_live(new, 1) else ("I16", "its letter was to have another payload")
    if old == DYING:
        if new != SETTLED:
            return "I3", "it was dead"
        return None if has_letter(story, move) else ("P1", "no dead letter is stored")
    if old.kind == "moving" and new == SETTLED:
        return _moved_off(story, move, old.target)
    if old.kind != "ticket":
        if not _is_live(new):
            return "P1", "it was in no ticket"
        return None if new.attempt == old.attempt else ("I7", "nothing ran")
    return _out_of_ticket(story, move, old, new)


def _is_cancelled(story: Story, move: Move) -> bool:
    """Whether it comes to its end because somebody has asked for that. Out of a ticket: not before its host has said what
    became of it, or is over."""
    path, _ = move.message
    old, new = move.old, move.new
    if not story.is_called_off(move.message, move.n) or new not in (SETTLED, DYING) or old in (SETTLED, DYING):
        return False
    if old is None and new == SETTLED and not parse_source(path).moved:
        return True  # one that was never admitted, or has ended and is forgotten
    ran = any(run.n < move.n and run.outcome != "snooze" for run in story.by_message.get(story.first(move.message), ()))
    if (
        new == SETTLED
        and ran
        and not any(run.n < move.n and damaged(story, run.started.session, move.n) for run in story.runs)
    ):
        return False  # it had begun, so there is to be a letter
    if new == DYING and story.ending(move) not in ("cancelled", "purged"):
        return False
    if old is None or old.kind in ("ready", "waiting"):
        return True
    if old.kind != "ticket":
        return False
    outcome = story.outcomes.get((old.ticket, old.offset))
    over = story.ended.get(story.tickets[old.ticket][1].session)
    if outcome is not None and outcome.n < move.n:
        return outcome.kind != "ok"
    return over is not None and over.n < move.n


def _is_expired(story: Story, move: Move) -> bool:
    """Whether it ends since it had not begun in time: where it waits, or as its host has said."""
    old, new = move.old, move.new
    if not story.may_expire(move):
        return False
    outcome = story.outcomes.get((old.ticket, old.offset)) if old is not None and old.kind == "ticket" else None
    if outcome is not None and outcome.n < move.n and outcome.kind == "expired":
        return new == DYING and story.ending(move) == "expired"
    over = story.ended.get(story.tickets[old.ticket][1].session) if old is not None and old.kind == "ticket" else None
    is_back = (outcome is not None and outcome.n < move.n and outcome.kind in ("released", "unfit", "held")) or (
        outcome is None and over is not None and over.n < move.n
    )
    if old is None or old.kind in ("ready", "waiting") or is_back:  # what waited may be due now
        ran = any(
            run.n < move.n and not damaged(story, run.started.session, move.n)
            for run in story.by_message.get(story.first(move.message), ())
        )
        return new == SETTLED and not ran
    return False


def _admitted(story: Story, move: Move) -> tuple[str, str] | None:
    path, index = move.message
    if _is_cancelled(story, move) or _is_expired(story, move):
        return None
    if path.startswith("dead/") and (move.new == EDITING or (move.new == DYING and story.ending(move) == "purged")):
        return None  # whether somebody asked for that, others look
    if path in story.targets and move.new == SETTLED:
        return None  # nothing came of that move, and nothing will
    if not _is_live(move.new, parse_source(path).attempt):
        return "P1", "admitted, and not as its first attempt"
    if path in story.targets and story.moved_off.get(story.targets[path][index], move.n + 1) > move.n:
        return "I2", "admitted, and still where it was moved from"
    return None


def _moved_off(story: Story, move: Move, target: str) -> tuple[str, str] | None:
    """Whether what it was moved to holds the message, with all that is known of it."""
    path, index = move.message
    landed = story.landed.get(target, move.n)
    board = story.board_before(move.n)
    if landed >= move.n or board is None:
        return "P1", f"{target} is not stored"
    at = story.targets[target].index(move.message)
    try:
        before = decode_message(path, decode_batch(path, story.bodies[path]).messages[index])
        after = decode_moved(target, decode_batch(target, story.bodies[target]).messages[at])
    except (CorruptRecord, LookupError) as fault:
        return "P1", f"it was moved, and cannot be read: {fault}"
    if (before.task, before.payload, before.headers) != (after.task, after.payload, after.headers):
        return "P1", "it was moved, and is another message now"
    first = story.first(move.message)
    if after.origin is None or after.origin.message != story.layout.message_id(*first):
        return "P1", "it was moved, and does not know where it comes from"
    known = board.sources[path].failures.get(index, ())
    if known and (not after.origin.failures or after.origin.failures[-1] != known[-1]):
        return "P1", "it was moved, and its history is lost"
    return None


def _out_of_ticket(story: Story, move: Move, old: Post, new: Post) -> tuple[str, str] | None:
    if new.kind == "ticket" and new.ticket == old.ticket:
        return "I2", "the ticket has changed"
    outcome = story.outcomes.get((old.ticket, old.offset))
    session = story.tickets[old.ticket][1].session
    if damaged(story, session, move.n) and new != SETTLED:
        return None  # what its ledger said may be lost with it
    if outcome is not None and outcome.n < move.n:
        kind = outcome.kind
    else:
        over = story.ended.get(session)
        if over is None or over.n > move.n:
            return "P1" if not _is_live(new) else "I2", f"{session} lives, and has not said what became of it"
        assert over.ledger is not None
        claimed = over.ledger.unread or old.ticket in over.ledger.claims
        if claimed and story.is_bequeathed(session, over) and (old.ticket, old.offset) not in story.by_offset:
            claimed = False  # the journals say that it was not started
        kind = "retry" if claimed else "released"
    match kind:
        case "ok" if move.message[0].startswith("dead/"):
            is_done = new == DYING and story.ending(move) == "done"
            return None if is_done else ("P5", "it had ended well, and its letter is to say so first")
        case "ok":
            return None if new == SETTLED else ("P5", "it had ended well")
        case "dead":
            return None if new == DYING else ("I3", "it had been rejected")
        case "retry":
            if old.attempt - story.spared(move.message, move.n) >= story.settings.max_attempts:
                return None if new == DYING else ("I7", "that was its last attempt")
            if new == DYING and not story.is_spared_for_certain(move.message, move.n):
                return None
            return None if _is_live(new, old.attempt + 1) else _not_as(new, old.attempt + 1)
        case "interrupted":
            return None if _is_live(new, old.attempt + 1) else _not_as(new, old.attempt + 1)
        case _:
            return None if _is_live(new, old.attempt) else _not_as(new, old.attempt)


def unfounded(story: Story) -> Iterator[tuple[str, str]]:
    """What ledgers say of messages and what did not become of them: the invariant that each breaks, and how."""
    for offset, outcome in story.outcomes.items():
        runs = [run for run in story.by_offset.get(offset, ()) if run.n < outcome.n]
        ended = {run.outcome for run in runs if run.ended_n is not None and run.ended_n < outcome.n}
        failure = outcome.failed.failure if outcome.failed is not None else None
        what = f"event {outcome.n}: offset {offset[1]} of ticket {offset[0]} is said to be {outcome.kind}, and "
        if outcome.kind == "ok":
            if "ok" not in ended:
                yield "P1", f"{what}did not end well"
        elif outcome.kind in ("released", "held"):
            if runs:
                yield "I7", f"{what}was started"
        elif "ok" in ended:
            yield "I7", f"{what}ended well"
        elif (
            not ended
            and failure is not None
            and failure.cause not in ("corrupt", "unreadable")
            and _is_readable(story, offset, outcome.n)
        ):
            yield "I7", f"{what}was not started, or is not over"


def _is_readable(story: Story, offset: Offset, n: int) -> bool:
    """Whether a worker that was given this message before could start it."""
    part = next(story.tickets[offset[0]][1].spans((offset[1], offset[1] + 1)), None)
    if part is None:
        return False  # two tickets of one name, which I5 tells
    if part.source.startswith(BORROWED):
        return True
    try:
        messages = decode_batch(part.source, story.bodies[part.source]).messages
        decode_message(part.source, messages[part.start])
    except (CorruptRecord, LookupError):
        return False
    return all(there for at, _, there in story.sources[part.source] if at < n)


def _not_as(new: Post, attempt: int) -> tuple[str, str]:
    if new == SETTLED:
        return "P1", "nobody has said that it ended well"
    return "I7", f"it is to go on as attempt {attempt}"


def _is_live(post: Post | None, attempt: int | None = None) -> bool:
    return post is not None and post.kind in _LIVE and attempt in (None, post.attempt)


def has_letter(story: Story, move: Move) -> bool:
    """Whether the dead letter of this message was stored before. There is one for all that nobody can read from it on."""
    if move.message[0].startswith("dead/"):
        return True  # whether it says the right thing, others look
    path, index = story.first(move.message)
    queue = parse_source(path).queue
    for at in range(index + 1):
        n, rest = story.letters.get(story.layout.dead(queue, story.layout.message_id(path, at)), (move.n, False))
        if n < move.n and (rest or at == index):
            return True
    return False
