from types import SimpleNamespace

charged = {}
payment_service = SimpleNamespace(
    charge=lambda user_id, cents, idempotency_key: charged.setdefault(idempotency_key, (user_id, cents))
)


def after(example):
    """The tasks of the page do what it says, also when they crash after the work."""
    if "charge" in globals() and "save" not in globals() and not charged:
        book.enqueue(7, 100)
        charge.enqueue(7, 100)
        task_queue.drain(crash="end").check()
        assert database.execute("SELECT user_id, cents FROM payments").fetchall() == [(7, 100)]
        assert list(charged.values()) == [(7, 100)]
    if "save" in globals() and example.language == "python" and "CREATE TABLE profiles" in example.source:
        save.enqueue(7, "Ada")
        task_queue.drain(crash="end").check()
        assert database.execute("SELECT user_id, name FROM profiles").fetchall() == [(7, "Ada")]
        save.function(SimpleNamespace(fencing_token=0), 7, "an older run")
        assert database.execute("SELECT name FROM profiles").fetchall() == [("Ada",)]
