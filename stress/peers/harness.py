"""One repetition of one peer: enqueue, start its workers, watch the stamps, end them."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from s3queue.testing.servers import Server
from stress.bench import work
from stress.bench.measure import Setting, repetition
from stress.bench.procs import children, cpu_s
from stress.peers import servers
from stress.peers.catalogue import Peer

ROOT = Path(__file__).resolve().parents[2]
#: A peer that has not finished by then is told as it stands: so many messages in so much time.
LONGEST_S = 60.0


def measure(peer: Peer, *, redis: str, s3: Server | None, scale: float, workers: int = 2) -> dict[str, float]:
    """Messages per second: enqueued one after the other, and drained, from the first start to the last end."""
    bin_dir = peer.environment()
    messages = max(20, int(peer.messages * scale))
    with tempfile.TemporaryDirectory(prefix="s3queue-peers-") as name:
        folder = Path(name)
        env = _environment(peer, folder, redis, s3)
        if peer.store == "redis":
            servers.forget(redis)
        program = [str(bin_dir / "python"), "-m", peer.dotted, "enqueue", str(messages)]
        put = subprocess.run(program, env=env, cwd=ROOT, check=False, capture_output=True, text=True)
        if put.returncode:
            raise LookupError(f"cannot enqueue: {put.stderr.strip()[-800:]}")
        took = json.loads(put.stdout.splitlines()[-1])
        stamps = work.Stamps(folder)
        running = [
            subprocess.Popen(
                [part.format(bin=bin_dir, module=peer.dotted, url=env["S3STRESS_URL"]) for part in command],
                env={**env, "S3STRESS_WORKER": str(number)},
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=(folder / "log").open("ab"),
                start_new_session=True,
            )
            for number, command in enumerate(peer.workers)
        ]
        try:
            drained, cpu = _watch(stamps, messages, running, folder)
        finally:
            for process in running:
                _end(process)
    return {
        "enqueue_per_s": messages / took["seconds"],
        "drain_per_s": drained,
        "cpu_us_per_message": cpu,
    }


def _environment(peer: Peer, folder: Path, redis: str, s3: Server | None) -> dict[str, str]:
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        work.STAMPS: str(folder),
        "S3STRESS_RUN": f"run-{secrets.token_hex(4)}",
    }
    match peer.store:
        case "redis":
            env["S3STRESS_URL"] = redis
        case "sqlite":
            env["S3STRESS_URL"] = str(folder / "huey.db")
        case "s3":
            if s3 is None:
                raise LookupError("no S3 server")
            env |= {**s3.env, "S3STRESS_URL": s3.address, "S3STRESS_BUCKET": _bucket(s3, versioned=peer.versioned)}
            env |= {"S3_REGION": "us-east-1", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
    return env


def _bucket(s3: Server, *, versioned: bool) -> str:
    """A fresh one: some of the peers use the root of theirs, and are slower the more there is in it."""
    from urllib.parse import urlsplit

    from minio import Minio
    from minio.versioningconfig import VersioningConfig

    name = f"peer-{secrets.token_hex(4)}"
    key, secret = s3.env["AWS_ACCESS_KEY_ID"], s3.env["AWS_SECRET_ACCESS_KEY"]
    client = Minio(urlsplit(s3.address).netloc, access_key=key, secret_key=secret, secure=False, region="us-east-1")
    client.make_bucket(name)
    if versioned:
        client.set_bucket_versioning(name, VersioningConfig("Enabled"))
    return name


def _tree(pids: list[int]) -> list[int]:
    found = list(pids)
    for pid in found:
        found += children(pid)
    return found


def _watch(
    stamps: work.Stamps, messages: int, running: list[subprocess.Popen[bytes]], folder: Path
) -> tuple[float, float]:
    started = time.monotonic()
    early, cpu_before = 0, 0.0
    while True:
        ran = stamps.read()
        now = time.monotonic()
        if ran.many and not cpu_before:
            cpu_before, early = sum(map(cpu_s, _tree([one.pid for one in running]))), ran.many
        if ran.many >= messages or (ran.many and now - started > LONGEST_S):
            cpu = sum(map(cpu_s, _tree([one.pid for one in running]))) - cpu_before
            seconds = (ran.last if ran.many >= messages else now) - ran.first
            # What was there at the first look was done before the clock began.
            return (ran.many - early) / seconds, cpu / max(1, ran.many - early) * 1e6
        if now - started > LONGEST_S or any(one.poll() not in (None, 0) for one in running):
            log = (folder / "log").read_text(errors="replace")[-1500:]
            raise LookupError(f"ran {ran.many} of {messages} messages: {log}")
        time.sleep(0.002)


def _end(process: subprocess.Popen[bytes]) -> None:
    """It and what it started: its session, which is its own."""
    for end in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, end)
        except ProcessLookupError:
            break
        try:
            process.wait(8)
        except subprocess.TimeoutExpired:
            continue
    process.wait(10)


def ours(store: str, batch: int, messages: int, scale: float) -> dict[str, float]:
    """s3queue itself, in the same terms; until the last message is committed, which is later than run."""
    setting = Setting(store, messages=max(20, int(messages * scale)), batch=batch, raw=False)
    told: dict[str, Any] = repetition(setting, secrets.randbits(30))
    return {
        "enqueue_per_s": told["enqueue_per_s"],
        "drain_per_s": told["drain_per_s"],
        "cpu_us_per_message": told["cpu_us_per_message"]["agent"] + told["cpu_us_per_message"]["worker"],
    }


if __name__ == "__main__":
    sys.exit("python -m stress peers")
