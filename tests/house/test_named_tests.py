"""Each row of the pages that promise something names a test, and each test that they name is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
COMPATIBILITY = REFERENCE / "compatibility.md"
PAGES = [REFERENCE / "faults.md", COMPATIBILITY]
_ID = re.compile(r"`(tests/[^`]*)`")
_ROW = re.compile(r"\| (?!what |there |here |defect |---)")

#: S3QueuePlugin of s3db.js 21.2.10: what a user of it may have written down.
SEED = re.findall(
    r"\S+",
    """
resource resourceNames.queue resourceNames.deadLetter queueResource deadLetterResource visibilityTimeout pollInterval
maxPollInterval pollBatchSize recoveryInterval recoveryBatchSize processedCacheTTL maxAttempts concurrency autoStart
autoAcknowledge onMessage onError onComplete orderingMode orderingGuarantee orderingLockTTL failureStrategy lockTTL
heartbeatTTL epochDuration ticketBatchSize dispatchInterval consumerJitterMs retryJitterMs slug namespace instanceId
logLevel logger storage enableCoordinator startupJitterMin startupJitterMax coldStartDuration skipColdStart
coordinatorWorkInterval heartbeatInterval heartbeatJitter leaseTimeout workerTimeout epochFencingEnabled
epochGracePeriodMs warnSlowRegisterWorkerLogs contention.enabled contention.threshold contention.rateLimitMs
circuitBreaker.failureThreshold circuitBreaker.resetTimeout circuitBreaker.halfOpenMaxAttempts metricsBufferSize
stateCacheTtl diagnosticsEnabled POD_NAME HOSTNAME workers maxRetries coordinatorElectionInterval
coordinatorEpochDuration ticketTTL ticketInterval coordinationBackend sqsQueueUrl redisUrl persistToS3
minEpochDuration maxEpochDuration coldStartObservationWindow coldStartPreparationDelay verbose

startProcessing stopProcessing getStats queueStats countQueue extendVisibility extendQueueVisibility renewLock
renewQueueLock truncateQueue deleteQueue estimateUsage estimateQueueUsage clearProcessedCache clearQueueCache
claimMessage attemptClaim processMessage completeMessage failMessage retryMessage moveToDeadLetter
recoverStalledMessages recoverStalledTickets publishDispatchTickets getAvailableTickets claimFromTicket
markTicketProcessed releaseTicket acquireLock releaseLock coordinatorDispatchLoop onBecomeCoordinator
onStopBeingCoordinator coordinatorWork install start stop uninstall onInstall onStart onStop onNamespaceChanged
queueId attempts workerId lockToken visibleUntil ack nack startCoordination stopCoordination isLeader getLeader
getActiveWorkers getCurrentEpoch isEpochValid validateEpoch subscribePlugin unsubscribePlugin isLeaderCheck getEpoch
getMetrics getCircuitBreakerStatus incrementEpochDriftEvents ensureCoordinator unregisterWorker drain processNext

message-enqueued message-completed message-retry message-dead message-failed message-recovered message-outcome
lock-renewed lock-renewal-rejected ordering-best-effort tickets-published tickets-recovered workers-started
workers-stopped usage-estimate coordinator-promoted coordinator-demoted cold-start-phase cold-start-complete
coordinator-elected coordinator-epoch-renewed plg:coordinator:promoted plg:coordinator:demoted
plg:coordinator:cold-start-phase plg:coordinator:cold-start-complete leader:changed contention:detected
circuitBreaker:open workers:updated message-claimed message-processing metrics s3-throttled plg:queue:stats
plg:queue:error plg:queue:message:complete coord:*
""",
)


def named(page: Path) -> list[str]:
    return _ID.findall(page.read_text("utf-8"))


def defined_in(file: Path) -> set[str]:
    """The ids of the tests in a file, without their parameters."""
    found: set[str] = set()
    where = file.relative_to(ROOT).as_posix()

    def walk(body: list[ast.stmt], path: str) -> None:
        for one in body:
            match one:
                case ast.ClassDef(name=name) if name.startswith("Test"):
                    walk(one.body, f"{path}::{name}")
                case ast.FunctionDef(name=name) if name.startswith("test_"):
                    found.add(f"{path}::{name}")
                case _:
                    pass

    walk(ast.parse(file.read_text("utf-8")).body, where)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_test_that_a_page_names_exists(page: Path) -> None:
    files = {one.partition("::")[0] for one in named(page)}
    missing = [file for file in files if not (ROOT / file).is_file()]
    assert not missing
    known = {test for file in files for test in defined_in(ROOT / file)}
    assert sorted(set(named(page)) - known) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_row_of_a_page_names_a_test(page: Path) -> None:
    rows = [line for line in page.read_text("utf-8").splitlines() if _ROW.match(line)]
    assert rows
    assert [row for row in rows if not _ID.search(row)] == []


def test_all_that_the_plugin_has_is_in_a_row_and_nothing_is_left_for_later() -> None:
    text = COMPATIBILITY.read_text("utf-8")
    cells = [row.split("|")[1] for row in text.splitlines() if _ROW.match(row)]
    told = {
        name for cell in cells for code in re.findall(r"`([^`]+)`", cell) for name in re.findall(r"[\w.:*-]+", code)
    }
    assert [name for name in SEED if name not in told] == []
    assert "not yet" not in text


@pytest.mark.parametrize("gone", ["test_that_was_renamed", "TestGone::test_each_row_of_a_page_names_a_test"])
def test_a_test_that_is_gone_is_noticed(gone: str) -> None:
    assert f"tests/house/test_named_tests.py::{gone}" not in defined_in(Path(__file__))
    assert "tests/house/test_named_tests.py::test_each_row_of_a_page_names_a_test" in defined_in(Path(__file__))
