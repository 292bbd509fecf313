"""Tasks that acknowledge their messages themselves: ``ack="manual"``, `Context.ack`, `Context.nack`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from s3queue.errors import ConfigError, Retry

if TYPE_CHECKING:
    from s3queue.context import Context

__all__ = ["ACKS", "Ack", "Verdict", "manual", "manual_async"]

Ack: TypeAlias = Literal["auto", "manual"]
ACKS: tuple[Ack, ...] = ("auto", "manual")


class Verdict:
    """What a task said about its message. The first call of `ack` or `nack` counts, from any thread.

    Attributes:
        result: what was acknowledged. error: why not.
    """

    __slots__ = ("_lock", "error", "is_said", "result")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.is_said = False
        self.result: Any = None
        self.error: BaseException | None = None

    def say(self, result: Any, error: BaseException | None) -> None:
        with self._lock:
            if not self.is_said:
                self.result, self.error, self.is_said = result, error, True

    def outcome(self) -> Any:
        """The result. Raises what the message failed with."""
        if not self.is_said:
            raise Retry("the task ended without ctx.ack() or ctx.nack()")
        if self.error is not None:
            raise self.error
        return self.result

    def overrule(self, raised: BaseException, ctx: Context) -> None:
        """The task raised this. It is raised again if the task had not acknowledged its message."""
        if not self.is_said:
            raise raised
        said = "acknowledged" if self.error is None else "refused"
        logging.getLogger("s3queue.worker").error(
            "%s raised after it had %s %s, which stays so", ctx.task, said, ctx.message_id, exc_info=raised
        )


def verdict_of(ctx: Context) -> Verdict:
    """Raises `ConfigError` if the task does not acknowledge by hand."""
    verdict = ctx._verdict
    if verdict is None:
        raise ConfigError(f"task {ctx.task!r} acknowledges its messages by returning", 'declare it with ack="manual"')
    return verdict


def manual(call: Callable[..., Any]) -> Callable[..., Any]:
    """The call of such a task: it returns what was acknowledged, and raises what was not."""

    def judged(args: Any, kwargs: Any, ctx: Context) -> Any:
        verdict = ctx._verdict = Verdict()
        try:
            call(args, kwargs, ctx)
        except BaseException as raised:  # noqa: BLE001 - raised again unless the task had spoken
            verdict.overrule(raised, ctx)
        return verdict.outcome()

    return judged


def manual_async(call: Callable[..., Any]) -> Callable[..., Any]:
    """As `manual`, of an async task."""

    async def judged(args: Any, kwargs: Any, ctx: Context) -> Any:
        verdict = ctx._verdict = Verdict()
        try:
            await call(args, kwargs, ctx)
        except BaseException as raised:  # noqa: BLE001 - raised again unless the task had spoken
            verdict.overrule(raised, ctx)
        return verdict.outcome()

    return judged
