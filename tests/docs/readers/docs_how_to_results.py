import s3queue


class RunsAtOnce:
    """A host that is quick."""

    def after_enqueue(self, call, ids):
        task_queue.drain()


s3queue.use(RunsAtOnce())
