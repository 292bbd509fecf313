"""Warnings for operators, from the summary."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from s3queue.dashboard.reader import Look
from s3queue.dashboard.render import span
from s3queue.words import plural

#: Seconds after which a summary counts as old while there is work. It is written every 2 s, on billed stores every 10 s.
_OLD_S = 45.0


class Notice(NamedTuple):
    """One notice.

    Attributes:
        level: ``bad``, ``warn`` or ``note``.
        todo: what to do about it; a command where there is one.
        queue: the queue that it is about; empty: all.
    """

    level: str
    title: str
    text: str
    todo: str = ""
    queue: str = ""


def notices(look: Look, queue: str = "") -> list[Notice]:
    """The notices of a summary, the worst first.

    Args:
        queue: only notices about this queue; empty: all.
    """
    found = list(_about_all(look)) if not queue else []
    for name, counts in look.seen.queues.items():
        if queue and name != queue:
            continue
        if counts.is_unserved:
            text = f"No living host serves {name}, and messages wait there."
            found.append(Notice("bad", "Not served", text, f"s3queue run MODULE --queue {name}", name))
        for token, many in counts.unfit.items():
            task, _, digests = token.rpartition("@")
            why = "the arguments do not fit the task" if any(digests.split(",")) else "no host knows the task"
            text = f"{plural(many, 'message')} of {name}: {why} {task}. Kept for a day, for a host that fits."
            found.append(Notice("warn", "Unfit messages", text, "deploy the release that defines the task", name))
        if counts.limited:
            text = f"Limits of {name} hold up messages, or are used up: {', '.join(counts.limited[:5])}."
            found.append(Notice("note", "Limited", text, "", name))
        if counts.paused:
            text = f"Nothing of {name} is started. Enqueuing goes on."
            found.append(Notice("warn", "Paused", text, f"s3queue resume {name}", name))
        for task in counts.paused_tasks:
            text = (
                f"No message of task {task} of {name} is started: {plural(counts.held.get(task, 0), 'message')} held."
            )
            found.append(Notice("warn", "Paused task", text, f"s3queue resume {name} --task {task}", name))
    order = {"bad": 0, "warn": 1, "note": 2}
    return sorted(found, key=lambda one: order[one.level])


def _about_all(look: Look) -> list[Notice]:
    seen, found = look.seen, []
    if look.fault:
        found.append(Notice("bad", "The store does not answer", f"{look.fault}. What is shown is what was seen last."))
    if look.has_summary and seen.coordinator is None:
        text = "Nothing is assigned until a host leads, and what comes meanwhile is not counted."
        found.append(Notice("bad", "No coordinator", text, "s3queue run MODULE"))
    age_s = (datetime.now(UTC) - seen.as_of).total_seconds() if seen.as_of else 0.0
    is_busy = any(counts.ready or counts.running for counts in seen.queues.values())
    if is_busy and age_s > _OLD_S:
        text = f"The coordinator has said nothing for {span(age_s)}, though there is work."
        found.append(Notice("bad", "Old figures", text, "look at the logs of the hosts"))
    for bound in seen.full:
        text = f"A bound of the board is reached: {bound}. Work is held back until there is room."
        found.append(Notice("warn", "Full", text))
    if seen.unreadable:
        text = f"{len(seen.unreadable):,} objects cannot be read; see Coordinator."
        found.append(Notice("warn", "Unreadable objects", text, "look at them, and purge or repair them"))
    return found
