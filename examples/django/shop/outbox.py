"""The transactional outbox: a message is enqueued if and only if a transaction was committed, whatever dies when."""

from django.utils.module_loading import import_string

from shop.models import Outbox


def put(task, *args) -> None:
    """Call it inside of the transaction."""
    Outbox.objects.create(task=task.module_path, args=args)


def relay() -> int:
    """Enqueue what is in the outbox, the oldest first. To be called again and again: by a schedule, or after a commit."""
    rows = list(Outbox.objects.order_by("pk")[:1000])
    for row in rows:
        # Named by its row: if this process dies before the row is deleted, the next one finds the message enqueued.
        task = import_string(row.task)
        task.get_backend().enqueue_once(task, row.args, {}, dedup_id=f"outbox-{row.pk}")
        row.delete()
    return len(rows)
