"""The tasks. Both the web application and ``s3queue run jobs`` import this module."""

import s3queue


@s3queue.task("reports", result_ttl=3600, max_attempts=5, time_limit=60)
async def report(customer: int, month: str) -> str:
    if month == "13":
        raise s3queue.Reject("there is no such month")
    return f"report of {month} for customer {customer}"
