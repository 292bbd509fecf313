import s3queue


@s3queue.task("shop")
def send(order: str, to: str, paid: str) -> None: ...


order, to, paid = "A", "ada", "paid 1999"
