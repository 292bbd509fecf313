import s3queue


@s3queue.task("shop")
def charge(order: int) -> None: ...


@s3queue.task("search")
def search_index(customer: int) -> None: ...


n = 7
