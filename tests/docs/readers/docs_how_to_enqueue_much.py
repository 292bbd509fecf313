from types import SimpleNamespace

import s3queue


@s3queue.task("mail")
def send(user: int, subject: str = "hello") -> None: ...


rows = [SimpleNamespace(id=number) for number in range(2500)]
