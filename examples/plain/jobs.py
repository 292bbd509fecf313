"""The application of the README. Producers import this module, and ``s3queue run jobs`` serves it."""

import s3queue

outbox: list[tuple[int, str]] = []


@s3queue.task(queue="mail", max_attempts=5, time_limit=60)
def send(user_id: int, subject: str = "hello") -> None:
    deliver(user_id, subject)


def deliver(user_id: int, subject: str) -> None:
    outbox.append((user_id, subject))
    print(f"to user {user_id}: {subject}", flush=True)
