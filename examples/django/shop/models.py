from django.db import models


class Order(models.Model):
    email = models.EmailField()
    amount = models.IntegerField()
    is_confirmed = models.BooleanField(default=False)


class Outbox(models.Model):
    """A call that is to be enqueued: written in the transaction of what it belongs to, so that both are there or none."""

    task = models.CharField(max_length=200)
    args = models.JSONField()
    made_at = models.DateTimeField(auto_now_add=True)
