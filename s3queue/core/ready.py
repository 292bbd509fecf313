"""Ready messages of one source, as ranges; and those of them that wait for a host that they fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from s3queue.core.records import Ready, Unfit


def without(one: Ready, index: int) -> Iterator[Ready]:
    """Its messages but this one."""
    if not one.start <= index < one.stop:
        yield one
        return
    if one.start < index:
        yield Ready(one.start, index, one.attempt)
    if index + 1 < one.stop:
        yield Ready(index + 1, one.stop, one.attempt)


def merged(many: Iterable[Ready], token: Callable[[int], str] | None) -> Iterator[Ready]:
    """In order, with adjacent ranges merged where attempt and token are equal.

    Args:
        token: of a message, see `Unfit`; None: none has any.
    """
    last: Ready | None = None
    for ready in sorted(many, key=lambda ready: ready.start):
        if (
            last is not None
            and last.stop == ready.start
            and last.attempt == ready.attempt
            and (token is None or token(last.start) == token(ready.start))
        ):
            last = Ready(last.start, ready.stop, ready.attempt)
            continue
        if last is not None:
            yield last
        last = ready
    if last is not None:
        yield last


def unfit_ranges(unfit: Mapping[int, tuple[str, int]]) -> Iterator[Unfit]:
    """
    Args:
        unfit: by index, the token, and since when it waits.
    """
    last: Unfit | None = None
    for index, (token, since_ms) in sorted(unfit.items()):
        if last is not None and (last.stop, last.token, last.since_ms) == (index, token, since_ms):
            last = Unfit(last.start, index + 1, token, since_ms)
            continue
        if last is not None:
            yield last
        last = Unfit(index, index + 1, token, since_ms)
    if last is not None:
        yield last


def joined(known: str, token: str) -> str:
    """The token of a message that several hosts have given back."""
    task, _, digest = token.rpartition("@")
    of, _, digests = known.rpartition("@")
    if not known or of != task:
        return token
    return f"{task}@{','.join(sorted({digest, *digests.split(',')}))}"
