"""``s3queue policy``."""

from __future__ import annotations

import json

import click

from s3queue.cli.options import store_options
from s3queue.config import load
from s3queue.errors import ConfigError
from s3queue.operate.bucket_policies import ROLES, Role, bucket_of, policy


@click.command("policy")
@click.option("--role", type=click.Choice(ROLES), required=True, help="Who it is for.")
@click.option("--queue", metavar="NAME", help="Only this queue, for a producer, viewer or operator.")
@click.option(
    "--principal",
    metavar="ARN",
    help="Print a bucket policy for this principal, instead of a policy for a user or role.",
)
@store_options
def command(
    role: Role,
    queue: str | None,
    principal: str | None,
    store_url: str | None,
    namespace: str | None,
    config_file: str | None,
) -> None:
    """Print the S3 policy that a program needs. Makes no request.

    \b
    producer  enqueues, and reads what becomes of its messages
    worker    serves queues; any host may lead, so it needs the whole namespace
    viewer    stats, top, ls, dead, exporter; reads payloads
    operator  a viewer that may pause, cancel, purge, redrive
    """
    loaded = load(store_url, path=config_file, namespace=namespace)
    if loaded.store_url is None:
        raise ConfigError("no store was named", "give --store URL, or set S3QUEUE_STORE_URL; for example s3://bucket")
    if role == "worker" and queue is not None:
        raise ConfigError(
            "a worker cannot be limited to one queue: its host may become the coordinator of all",
            "leave --queue out, or use a namespace for it",
        )
    bucket, prefix = bucket_of(loaded.store_url)
    click.echo(json.dumps(policy(role, bucket, prefix, loaded.config.namespace, queue, principal), indent=2))
