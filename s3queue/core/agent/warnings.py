"""What a coordinator warns of after a cycle, and what its chores have done."""

from __future__ import annotations

from s3queue.core.agent.environment import Environment
from s3queue.core.cycle import Cycled, Lead
from s3queue.errors import CorruptRecord

#: Warning while the control, and so which queues are paused, cannot be read.
NO_CONTROL = (
    "the object with the operators' settings cannot be read, and no message is assigned until it can; "
    "if it is damaged, delete it; if it is missing, any change creates it: s3queue resume QUEUE"
)


def skipped(corrupt: CorruptRecord) -> str:
    """The warning for an object that cannot be decoded."""
    return f"skipped one object and left it in place; inspect it: {corrupt}"


def warn_of(env: Environment, lead: Lead, cycled: Cycled) -> None:
    """What people should know after a cycle."""
    if cycled.planned.refused:
        env.mark("a late request of a producer was refused")
    for corrupt in cycled.corrupt:
        env.warn(corrupt.key, skipped(corrupt))
    for queue, token, many in cycled.planned.unfit:
        task, _, digests = token.rpartition("@")
        why = "takes other arguments on every host" if any(digests.split(",")) else "is known to no host"
        env.warn(
            f"unfit {queue} {token}",
            f"{many} messages of queue {queue!r} wait: task {task!r} {why}; deploy a release that fits them",
        )
    if many := lead.foreign.messages:
        env.mark("a leader left alone what a newer release has entered")
        env.warn(
            "foreign",
            f"about {many} messages are of a kind that this release does not know; they wait for a coordinator and "
            "hosts of the newer release: finish the upgrade, or see docs/how-to/upgrade",
        )
    if lead.control is None:
        env.warn(lead.layout.control, NO_CONTROL)
    if off_s := lead.clocks.off_s:
        env.mark("a leader held schedules since its clock was off")
        env.warn(
            "clock",
            f"the clock of this host is {abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} those of others; "
            "no schedule ticks until it is set right",
        )
    for bound in lead.board.full:
        env.warn(
            f"full {bound}",
            f"the board is full ({bound}): more work waits until there is room; see s3queue stats",
        )


def tell_chores(env: Environment, lead: Lead) -> None:
    """What chores have done and met since this was called last."""
    fences = lead.chores.fences
    for session in fences.done:
        env.emit("fenced", session=session, text="its host was silent or gone; what it had not stored runs again")
    fences.done.clear()
    for corrupt in fences.corrupt:
        env.warn(corrupt.key, skipped(corrupt))
    fences.corrupt.clear()
    for key, why in lead.chores.asides.done:
        env.mark("a request that nobody can read was kept aside")
        env.warn(key, f"a request that nobody can read did nothing, and is kept here; inspect and delete it: {why}")
    lead.chores.asides.done.clear()
    for source, ids in lead.chores.moves.done:
        env.emit("moved", source=source, ids=ids)
    lead.chores.moves.done.clear()
    for key, fault in lead.chores.troubles.take_new():
        env.warn(key, f"one object cannot be read or written, retrying it with back-off: {fault}")
