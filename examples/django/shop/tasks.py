"""Tasks of the shop. ``manage.py s3queue run`` finds every module of this name."""

from s3queue.contrib.django import policy
from s3queue.contrib.django.framework import task  # on Django 6 and later: from django.tasks import task
from shop.models import Order


@task(queue_name="mail", priority=20)
@policy(max_attempts=5, time_limit=60)
def confirm(order_id: int) -> str:
    """Safe to run twice: a process may die after the mail, and the message runs again."""
    order = Order.objects.get(pk=order_id)
    if not order.is_confirmed:
        send_mail(order.email, f"Thank you for {order.amount}")
        order.is_confirmed = True
        order.save()
    return order.email


@task(takes_context=True)
async def total(context) -> int:
    """What has been ordered. ``context.message`` is the message: its deadline, its fencing token, its progress."""
    amounts = []
    async for order in Order.objects.all():
        amounts.append(order.amount)
        context.message.progress(len(amounts))
    return sum(amounts)


def send_mail(to: str, text: str) -> None:
    print(f"to {to}: {text}", flush=True)
