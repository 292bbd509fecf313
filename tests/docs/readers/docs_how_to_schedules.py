def export_hour(tick): ...


def before(example):
    if example.language == "console":
        from datetime import timedelta

        task_queue.advance(timedelta(minutes=1))  # a host has started
