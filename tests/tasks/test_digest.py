"""The digest of a signature: what tells a host that another release knows a task otherwise."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from s3queue import Context
from s3queue.payloads.codec import CallCodec, ValueCodec


@dataclass
class Address:
    """Where somebody lives."""

    street: str
    city: str = "Paris"


def digest(function: Callable[..., Any]) -> str:
    return CallCodec(function, "it").digest()


def plain(user: int, subject: str = "hello") -> None: ...


def told_otherwise(user: int, subject: str = "good day") -> str:
    """Another default, another result, a docstring, a context."""
    return subject


def with_context(ctx: Context, user: int, subject: str = "hello") -> None: ...


def in_another_order(*, subject: str = "hello", user: int) -> None: ...


@pytest.mark.parametrize("same", [told_otherwise, with_context, in_another_order])
def test_functions_that_take_the_same_arguments_have_the_same_digest(same: Callable[..., Any]) -> None:
    assert digest(same) == digest(plain)


def renamed(person: int, subject: str = "hello") -> None: ...


def retyped(user: str, subject: str = "hello") -> None: ...


def required(user: int, subject: str) -> None: ...


def extended(user: int, subject: str = "hello", cc: str = "") -> None: ...


def open_ended(user: int, subject: str = "hello", **more: str) -> None: ...


@pytest.mark.parametrize("other", [renamed, retyped, required, extended, open_ended])
def test_functions_that_take_other_arguments_have_another(other: Callable[..., Any]) -> None:
    assert digest(other) != digest(plain)


def test_fields_of_an_argument_count_and_what_is_told_about_them_does_not() -> None:
    def before(at: Address) -> None: ...

    @dataclass
    class Address2:
        """Where something is sent."""

        street: str
        city: str = "Rome"

    def told(at: Address2) -> None: ...

    @dataclass
    class Address3:
        street: str
        country: str = "France"

    def changed(at: Address3) -> None: ...

    Address2.__name__ = Address3.__name__ = "Address"
    told.__annotations__["at"], changed.__annotations__["at"], before.__annotations__["at"] = (
        Address2,
        Address3,
        Address,
    )
    assert digest(told) == digest(before)
    assert digest(changed) != digest(before)


def test_types_that_json_has_no_form_for_have_a_digest_too() -> None:
    def odd(at: dict[tuple[int, int], UUID], raw: bytes) -> None: ...

    def other(at: dict[tuple[int, int], UUID], raw: int) -> None: ...

    assert digest(odd) != digest(other)


def test_handlers_differ_by_the_type_of_their_payload() -> None:
    def one(payload: int) -> None: ...

    def two(payload: str) -> None: ...

    assert ValueCodec(one, "it").digest() != ValueCodec(two, "it").digest()


def test_digest_is_the_same_in_every_process() -> None:
    program = (
        "from tests.tasks.test_digest import Address, digest, plain\n"
        "def at(at: Address, ids: set[str], *rest: dict[str, int]) -> None: ...\n"
        "print(digest(plain), digest(at))\n"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            check=True, capture_output=True, text=True,
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(seen) == 1
    assert seen.pop().split()[0] == digest(plain)
