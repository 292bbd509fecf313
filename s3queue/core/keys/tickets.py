"""Names of tickets, and the tokens that outside systems see of them."""

from __future__ import annotations


def ticket_id(epoch: int, sequence: int) -> str:
    return f"{epoch}-{sequence}"


def fencing_token(ticket: str) -> int:
    """One number that only grows: every later ticket has a greater one.

    ``epoch * 2**32 + sequence``; fits a signed 64-bit column.
    """
    epoch, _, sequence = ticket.partition("-")
    return (int(epoch) << 32) + int(sequence)
