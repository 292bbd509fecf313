import s3queue


@s3queue.task("mail")
def send(user: int) -> None: ...


def before(example):
    typed["ID…"] = typed["ID"] = send.options(delay=3600).enqueue(7)


task_queue.host()
