"""Log records: with the message that is running, and as lines of JSON."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["FIELDS", "JsonFormatter", "TextFormatter", "name_the_running", "plain"]

#: Attributes of a record that is logged while a task runs.
FIELDS = ("task", "message_id", "attempt", "queue")
#: Attributes that every record has, and those with names of their own in a line of JSON.
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "s3queue", "running", *FIELDS}

#: Returns the message that runs in this thread, or in this context of the event loop; None: no message does.
_find: Callable[[], Mapping[str, Any] | None] | None = None


class _Field:
    """An attribute of a record that names the running message. An attribute of the same name that a program logs with
    ``extra=`` takes precedence, and is no error, as it would be if the record's factory had set the attribute.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, record: Any, owner: object = None) -> Any:
        running: Mapping[str, Any] = getattr(record, "running", None) or {}
        try:
            return running[self._name]
        except KeyError:
            raise AttributeError(self._name) from None


class _Record(logging.LogRecord):
    task, message_id, attempt, queue = map(_Field, FIELDS)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        running = None if _find is None else _find()
        if running is not None:
            self.running = running

    def getMessage(self) -> str:
        # By now the record has the fields of ``extra=``, and formatters read attributes from here.
        for name, value in (self.__dict__.get("running") or {}).items():
            self.__dict__.setdefault(name, value)
        return super().getMessage()


def name_the_running(find: Callable[[], Mapping[str, Any] | None]) -> None:
    """Let every record that is logged inside a task carry `FIELDS`. Costs nothing where nothing is logged. A factory of
    records that the program has set is kept; its records carry them as plain attributes.
    """
    global _find
    _find = find
    made_by = logging.getLogRecordFactory()
    if made_by is logging.LogRecord:
        logging.setLogRecordFactory(_Record)
    elif made_by is not _Record:

        def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
            made = made_by(*args, **kwargs)
            running = find()
            if running is not None:
                made.__dict__["running"] = running
            return made

        logging.setLogRecordFactory(record)


def plain(text: str) -> str:
    """Text of other programs, for a terminal: control characters are shown as escapes."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class TextFormatter(logging.Formatter):
    """Lines for people. Text that a task has raised or logged cannot control the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return text if text.isprintable() else "\n".join(map(plain, text.split("\n")))


class JsonFormatter(logging.Formatter):
    """One object a line: ``at`` (UTC), ``level``, ``logger``, ``text``, the fields of an event or of the running
    message, the fields of ``extra=``, and ``traceback``.
    """

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "at": f"{at}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "text": record.getMessage(),
        }
        line |= getattr(record, "running", None) or {}
        line |= {name: value for name in FIELDS if (value := record.__dict__.get(name)) is not None}
        event = getattr(record, "s3queue", None)
        if isinstance(event, dict):
            line |= {name: value for name, value in event.items() if name not in ("text", "message")}
            line["text"] = str(event.get("text") or line["text"])
        line |= {name: value for name, value in vars(record).items() if name not in _PLAIN and name not in line}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)
