"""Every row of the error table, through every backend, from real replies on real sockets.

The replies of S3 are as SeaweedFS, MinIO and AWS send them; those of GCS and Azure were written after their
documentation. Each test also counts the requests: an SDK that tries again on its own fails here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from s3queue_backends import Boto3Store, MinioStore, ObstoreStore
from s3queue_backends._errors import RESENDS, TABLE, Reply, Row, Silence, judge

from s3queue.errors import OutcomeUnknown, StoreDenied, StoreError, StoreUnavailable
from s3queue.store import Conflict, Found, Missing, ObjectStore, Stored, Unchanged
from tests.stores.replay import CLOSE, GARBAGE, HANG, RESET, Answer, Replay, error, refused_address, replay, reply

BACKENDS = ["s3", "minio", "obstore+s3", "gs", "az"]

GCS_LOGIN = {"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
AZURE_KEY = "bm90IGEgc2VjcmV0"


def connect(backend: str, address: str, read_timeout_s: float = 20.0) -> ObjectStore:
    times = {"connect_timeout_s": 5.0, "read_timeout_s": read_timeout_s}
    s3 = {"access_key": "AKIDEXAMPLE", "secret_key": "hunter2", **times}
    match backend:
        case "s3":
            return Boto3Store("bucket", "jobs", endpoint=address, **s3)  # type: ignore[arg-type]
        case "minio":
            return MinioStore(address, bucket="bucket", prefix="jobs", **s3)  # type: ignore[arg-type]
        case "obstore+s3":
            return ObstoreStore("bucket", prefix="jobs", endpoint=address, **s3)  # type: ignore[arg-type]
        case "gs":
            key = json.dumps(GCS_LOGIN | {"gcs_base_url": address})
            return ObstoreStore(
                "bucket", "gs", prefix="jobs", endpoint=address, options={"service_account_key": key}, **times
            )
        case _:
            return ObstoreStore(
                "bucket",
                "az",
                prefix="jobs",
                endpoint=f"{address}/account",
                account="account",
                options={"account_key": AZURE_KEY},
                **times,
            )


def outcome(store: ObjectStore, operation: str, key: str = "k") -> object:
    """What an operation returns, or the class of what it raises."""
    try:
        match operation:
            case "create":
                return store.put(key, b"body", if_version=None)
            case "replace":
                return store.put(key, b"body", if_version="abc")
            case "get":
                return store.get(key)
            case "unless":
                return store.get(key, unless="abc")
            case "delete":
                return store.delete([key])
            case _:
                return store.list("")
    except StoreError as failed:
        return type(failed)


class Rig(NamedTuple):
    """One store and one server for many cases, since boto3 takes its time to connect.

    Attributes:
        impatient: the same store with a short time-out, for servers that do not answer.
    """

    backend: str
    store: ObjectStore
    impatient: ObjectStore
    server: Replay


@pytest.fixture(scope="module", params=BACKENDS)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with replay(error(500)) as server:
        store, impatient = connect(request.param, server.address), connect(request.param, server.address, 0.3)
        yield Rig(request.param, store, impatient, server)
        store.close()
        impatient.close()


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


STORED = reply(200, ETag='"abc"', Last_Modified="Tue, 24 Nov 2026 04:36:30 GMT", x_goog_generation="17")
FOUND = reply(200, "body", ETag='"abc"', Last_Modified="Tue, 24 Nov 2026 04:36:30 GMT", x_goog_generation="17")

WRITES, READS = ("create", "replace"), ("get", "unless", "list", "delete")


class Case(NamedTuple):
    answer: Answer
    operations: tuple[str, ...]
    expected: object
    requests: int = 1


CASES = {
    "412 on a create": Case(error(412, "PreconditionFailed"), ("create",), Conflict()),
    "412 on a replace": Case(error(412, "PreconditionFailed"), ("replace",), Conflict()),
    "404 on a replace": Case(error(404, "NoSuchKey"), ("replace",), Conflict()),
    "404 on a create": Case(error(404, "NoSuchKey"), ("create",), StoreDenied),
    "404 on a get": Case(error(404, "NoSuchKey"), ("get", "unless"), Missing()),
    "no bucket": Case(error(404, "NoSuchBucket"), (*WRITES, "get", "list"), StoreDenied),
    "no container": Case(error(404, "ContainerNotFound"), (*WRITES, "get", "list"), StoreDenied),
    "304": Case(error(304), ("unless",), Unchanged()),
    "409 for good": Case(error(409, "ConditionalRequestConflict"), WRITES, StoreUnavailable, 1 + RESENDS),
    "409 of Azure": Case(error(409, "BlobAlreadyExists"), ("create",), Conflict()),
    "429": Case(error(429, "TooManyRequests"), (*WRITES, *READS), StoreUnavailable),
    "503": Case(error(503, "SlowDown"), (*WRITES, *READS), StoreUnavailable),
    "503 of a proxy": Case(reply(503, "busy", Content_Type="text/html"), (*WRITES, *READS), StoreUnavailable),
    "400 for a slow body": Case(error(400, "RequestTimeout"), WRITES, StoreUnavailable),
    "500 on a write": Case(error(500, "InternalError"), WRITES, OutcomeUnknown),
    "502 of a proxy on a write": Case(reply(502, "bad", Content_Type="text/html"), WRITES, OutcomeUnknown),
    "504 on a write": Case(error(504, "GatewayTimeout"), WRITES, OutcomeUnknown),
    "500 on a read": Case(error(500, "InternalError"), READS, StoreUnavailable),
    "502 on a read": Case(reply(502, "bad", Content_Type="text/html"), READS, StoreUnavailable),
    "401": Case(error(401, "Unauthorized"), (*WRITES, *READS), StoreDenied),
    "403": Case(error(403, "AccessDenied"), (*WRITES, *READS), StoreDenied),
    "403 for a skewed clock": Case(error(403, "RequestTimeTooSkewed"), (*WRITES, "get"), StoreDenied),
    "400": Case(error(400, "InvalidRequest"), (*WRITES, "get"), StoreDenied),
    "501": Case(error(501, "NotImplemented"), WRITES, StoreDenied),
    "closed on a write": Case(CLOSE, WRITES, OutcomeUnknown),
    "reset on a write": Case(RESET, WRITES, OutcomeUnknown),
    "silent on a write": Case(HANG, WRITES, OutcomeUnknown),
    "garbled on a write": Case(GARBAGE, WRITES, OutcomeUnknown),
    "closed on a read": Case(CLOSE, READS, StoreUnavailable),
    "reset on a read": Case(RESET, READS, StoreUnavailable),
    "silent on a read": Case(HANG, READS, StoreUnavailable),
    "garbled on a read": Case(GARBAGE, READS, StoreUnavailable),
    "cut off in a body": Case(
        Answer(FOUND.data.replace(b"Content-Length: 4", b"Content-Length: 400"), "close"), ("get",), StoreUnavailable
    ),
    "cut off in a listing": Case(
        reply(200, "<?xml version='1.0'?><ListBucketResult><Na", Content_Type="application/xml"),
        ("list",),
        StoreUnavailable,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_answer_means(rig: Rig, name: str) -> None:
    backend, store, impatient, server = rig
    case = CASES[name]
    if case.answer is HANG:
        store = impatient
    if "of Azure" in name and backend != "az":
        pytest.skip("a word of Azure's")
    for operation in case.operations:
        if (operation, backend) == ("replace", "gs"):  # which has to have seen the generation
            if case.answer is HANG:
                continue
            server.say(STORED)
            assert outcome(store, "create") == Stored("abc")
        server.say(case.answer)
        assert (operation, outcome(store, operation)) == (operation, case.expected)
        assert (operation, server.count(case.requests)) == (operation, case.requests)


def test_put_answered_with_409_is_sent_again_unchanged(rig: Rig) -> None:
    rig.server.say(error(409, "ConditionalRequestConflict"), error(409, "OperationAborted"), STORED)
    assert outcome(rig.store, "create") == Stored("abc")
    requests = rig.server.requests
    assert len(requests) == 3
    assert len({request.partition(b"\r\n\r\n")[2] for request in requests}) == 1
    assert len({condition(request) for request in requests}) == 1


def condition(request: bytes) -> bytes:
    names = (b"if-match:", b"if-none-match:", b"x-goog-if-generation-match:")
    return b"\n".join(line for line in request.lower().split(b"\r\n") if line.startswith(names))


def test_refused_connection_is_unavailable(backend: str) -> None:
    store = connect(backend, refused_address())
    for operation in (*WRITES, *READS):
        assert (operation, outcome(store, operation)) == (operation, StoreUnavailable)
    store.close()


def test_unknown_host_is_unavailable(backend: str) -> None:
    store = connect(backend, "http://no-such-host.invalid:9000")
    assert outcome(store, "create") == StoreUnavailable
    store.close()


def test_conditions_are_on_the_wire(rig: Rig) -> None:
    rig.server.say(STORED)
    outcome(rig.store, "create")
    outcome(rig.store, "replace")
    if rig.backend == "gs":
        wanted = [b"x-goog-if-generation-match: 0", b"x-goog-if-generation-match: 17"]
    else:
        wanted = [b"if-none-match: *", b'if-match: "abc"']
    assert [condition(request) for request in rig.server.requests] == wanted
    assert all(b"expect:" not in request.lower() for request in rig.server.requests)


def test_condition_of_a_put_does_not_stay_for_the_next_request() -> None:
    """A put that fails before it is sent must not leave its condition to a get."""
    with replay(FOUND) as server:
        store = connect("minio", server.address)
        with pytest.raises(ValueError, match="path segment"):
            store.put("a/../b", b"body", if_version=None)
        assert outcome(store, "get") == Found(b"body", "abc")
        assert condition(server.requests[0]) == b""
        store.close()


def test_quotes_of_etags_do_not_matter(rig: Rig) -> None:
    rig.server.say(*(Answer(answer.data.replace(b'"abc"', b"abc")) for answer in (FOUND, STORED)))
    assert outcome(rig.store, "get") == Found(b"body", "abc")
    assert outcome(rig.store, "create") == Stored("abc")


def test_gcs_generation_that_was_not_seen_is_asked_for() -> None:
    with replay(STORED) as server:
        store = connect("gs", server.address)
        assert outcome(store, "replace") == Stored("abc")
        assert [request.split(b" ")[0] for request in server.requests] == [b"HEAD", b"PUT"]
        assert condition(server.requests[1]) == b"x-goog-if-generation-match: 17"
        store.close()


def test_gcs_version_that_is_not_the_current_one_is_a_conflict_without_a_put() -> None:
    with replay(Answer(STORED.data.replace(b"abc", b"def"))) as server:
        store = connect("gs", server.address)
        assert outcome(store, "replace") == Conflict()
        assert len(server.requests) == 1
        store.close()
    with replay(reply(404)) as server:
        store = connect("gs", server.address)
        assert outcome(store, "replace") == Conflict()
        store.close()


def test_gcs_conflict_makes_the_next_put_look_at_the_generation_anew() -> None:
    """Otherwise a body that was written twice would conflict for ever: its ETag is that of the version named."""
    newer = Answer(STORED.data.replace(b"17", b"18"))
    with replay(STORED, error(412, "PreconditionFailed"), newer, newer) as server:
        store = connect("gs", server.address)
        assert outcome(store, "create") == Stored("abc")
        assert outcome(store, "replace") == Conflict()
        assert outcome(store, "replace") == Stored("abc")
        assert condition(server.requests[-1]) == b"x-goog-if-generation-match: 18"
        store.close()


def deleted(*errors: tuple[str, str]) -> Answer:
    rows = "".join(
        f"<Error><Key>jobs/{key}</Key><Code>{code}</Code><Message>m</Message></Error>" for key, code in errors
    )
    return reply(200, f"<?xml version='1.0'?><DeleteResult>{rows}</DeleteResult>", Content_Type="application/xml")


@pytest.mark.parametrize("backend", ["s3", "minio", "obstore+s3"])
@pytest.mark.parametrize(
    ("code", "expected"),
    [("AccessDenied", StoreDenied), ("InternalError", StoreUnavailable), ("SlowDown", StoreUnavailable)],
)
def test_key_that_a_delete_leaves_is_told(backend: str, code: str, expected: type[StoreError]) -> None:
    with replay(deleted(("k", code))) as server:
        store = connect(backend, server.address)
        with pytest.raises(expected):
            store.delete(["k"])
        store.close()


@pytest.mark.parametrize("backend", ["s3", "minio"])
def test_key_that_a_delete_does_not_find_is_no_error(backend: str) -> None:
    with replay(deleted(("k", "NoSuchKey"))) as server:
        store = connect(backend, server.address)
        store.delete(["k"])
        store.close()


@pytest.mark.parametrize("backend", ["s3", "minio", "obstore+s3"])
def test_two_thousand_keys_take_two_requests(backend: str, honest_server: object) -> None:
    from tests.stores.mini_s3 import MiniS3

    assert isinstance(honest_server, MiniS3)
    store = connect(backend, honest_server.address)
    keys = [f"{n:04}" for n in range(2000)]
    store.delete(keys)
    assert len(honest_server.requests) == 2
    store.put("a", b"1", if_version=None)
    assert [entry.key for entry in store.list("", limit=1)] == ["a"]
    assert len(honest_server.requests) == 4, "one request for a listing"
    store.close()


# The table itself -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.status}-{row.operation}-{row.verdict.name}")
def test_no_row_of_the_table_is_dead(row: Row) -> None:
    """Each decides something: there is an answer for which it is the first that fits."""
    for operation in [row.operation] if row.operation else ["get", "put", "delete", "list"]:
        for status in row.status if isinstance(row.status, range) else [row.status]:
            for code in row.codes or [""]:
                for replaces in [row.replaces] if row.replaces is not None else [False, True]:
                    first = next(r for r in TABLE if r.fits(operation, status, code, replaces))
                    if first is row:
                        return
    pytest.fail("never reached")


@pytest.mark.parametrize("operation", ["get", "put", "delete", "list"])
def test_every_answer_has_a_meaning_and_no_read_is_unknown(operation: str) -> None:
    verdicts = {judge(Reply(status), operation).name for status in range(600)}
    assert operation == "put" or not verdicts & {"UNKNOWN", "CONFLICT", "AGAIN"}
    assert operation == "get" or not verdicts & {"MISSING", "UNCHANGED"}


def test_silence_before_sending_is_never_unknown() -> None:
    assert judge(Silence(False, ""), "put").name == "UNAVAILABLE"
    assert judge(Silence(True, ""), "put").name == "UNKNOWN"
    assert judge(Silence(True, ""), "get").name == "UNAVAILABLE"
