"""The verdict on what operators did: whether what they were told was true of everything that started afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from s3queue.core.keys import parse_message_id, parse_source
from stress.chaos.accounts import Accounts, Run


def called_off(accounts: Accounts) -> set[str]:
    """Messages that somebody has asked to be cancelled, or whose queue somebody has purged or partly cancelled."""
    known = {**accounts.sent, **accounts.uncertain}
    found = {one for asked in accounts.asked if asked.kind == "cancel" for one in asked.ids}
    queues = {asked.queue for asked in accounts.asked if asked.kind in ("purge", "cancel_many")}
    return found | {one for one in known if queue_of(one) in queues}


def lives_of(accounts: Accounts, runs: Sequence[Run]) -> list[list[Run]]:
    """The runs of a message by its lives: a redriven one begins again with its first attempt, and may begin to run with a
    later one. In one life only a snooze repeats an attempt."""
    redriven = {asked.queue for asked in accounts.asked if asked.kind == "redrive"}
    lives: list[list[Run]] = []
    for run in runs:
        again = lives and run.start.attempt <= lives[-1][-1].start.attempt and lives[-1][-1].how != "snooze"
        if not lives or (again and queue_of(run.start.message) in redriven):
            lives.append([])
        lives[-1].append(run)
    return lives


def queue_of(message: str) -> str:
    return parse_source(parse_message_id(message).path).queue


def broken_words(accounts: Accounts) -> list[str]:
    """What started though an operator had been told that it does not, or more often than it was redriven."""
    return [*_cancelled(accounts), *_purged(accounts), *_paused(accounts), *_redriven(accounts)]


def _redriven(accounts: Accounts) -> Iterator[str]:
    """A message begins a life for each death that was redriven, and no other; its letter counts them."""
    for message, runs in accounts.by_message().items():
        lives = len(lives_of(accounts, runs))
        letter = accounts.letters.get(message) or accounts.stones.get(message)
        most = 1 if letter is None else letter.life
        if lives > most:
            yield f"began {lives} lives, and its letter knows of {most}: {message}"


def _runs(accounts: Accounts) -> Iterator[Run]:
    """Those of sessions that nobody had ended: another one may start a message just when it is fenced."""
    fenced = set(accounts.fences)
    return (run for run in accounts.runs if run.start.session not in fenced)


def _cancelled(accounts: Accounts) -> Iterator[str]:
    told: dict[str, float] = {}
    for answered in accounts.answered:
        if answered.kind == "cancel" and answered.answer in ("cancelled", "absent"):
            told[answered.ids[0]] = min(answered.at, told.get(answered.ids[0], answered.at))
    for run in _runs(accounts):
        if run.start.at > told.get(run.start.message, float("inf")):
            yield f"started after it was said to be cancelled, at {told[run.start.message]}: {run}"


def _purged(accounts: Accounts) -> Iterator[str]:
    # Dead letters stay, and may be redriven afterwards.
    reborn = {one for one, runs in accounts.by_message().items() if len(lives_of(accounts, runs)) > 1}
    for purge in (answered for answered in accounts.answered if answered.kind == "purge"):
        for run in _runs(accounts):
            sent_at = accounts.sent_at.get(run.start.message)
            if (
                sent_at is not None
                and run.start.message not in reborn
                and sent_at < purge.asked_at
                and run.start.at > purge.at
                and queue_of(run.start.message) == purge.queue
            ):
                yield f"started after its queue was purged, at {purge.at}: {run}"


def _paused(accounts: Accounts) -> Iterator[str]:
    """From when an operator was told that no host has any of a queue until anybody asks to resume it."""
    resumes = sorted((asked.at, asked.queue) for asked in accounts.asked if asked.kind == "resume")
    for pause in (answered for answered in accounts.answered if answered.kind == "pause"):
        # One that was asked for before, and takes effect now, ends this pause, too.
        others = [at for at, queue in resumes if queue == pause.queue and at > pause.asked_at - _LONGEST_S]
        until = min([at for at in others if at > pause.at], default=float("inf"))
        if any(at <= pause.at for at in others):
            continue
        for run in _runs(accounts):
            if pause.at < run.start.at < until and queue_of(run.start.message) == pause.queue:
                yield f"started while its queue was paused, and idle since {pause.at}: {run}"


#: Seconds for which a request of an operator may be on its way.
_LONGEST_S = 30.0
