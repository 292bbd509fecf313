"""Enqueues: one message, one for later, and a thousand with one PUT."""

from jobs import send


def main() -> None:
    send.enqueue(7, subject="welcome")
    send.options(delay=3600, priority=0).enqueue(8)
    send.enqueue_many([(number,) for number in range(1000, 2000)])


if __name__ == "__main__":
    main()
