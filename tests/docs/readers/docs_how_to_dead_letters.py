import s3queue


@s3queue.task("mail", max_attempts=1)
def send(user_id: int) -> None:
    if user_id != 4712:
        raise ValueError(f"no user {user_id}")


@s3queue.task("mail", max_attempts=1)
def resize(file: str) -> None:
    raise s3queue.Reject("not an image")


def before(example):
    """All are dead again before each example, as if it were the only one on the page."""
    send.enqueue_many([(4711,) for _ in range(12)])
    resize.enqueue_many([("a.jpg",), ("b.jpg",), ("c.jpg",)])
    task_queue.drain()
    letters = list(s3queue.Queue("mail").dead_letters(task="send"))
    globals()["message_id"] = typed["an id"] = letters[-1].id
    globals()["one"], globals()["other"] = letters[0].id, letters[1].id


def after(example):
    s3queue.Queue("mail").purge_letters()
