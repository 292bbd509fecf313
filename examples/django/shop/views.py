from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from s3queue.contrib.django.framework import TaskResultDoesNotExist  # on Django 6: django.tasks.exceptions
from shop.models import Order
from shop.tasks import confirm


@csrf_exempt
def place_order(request: HttpRequest) -> JsonResponse:
    with transaction.atomic():
        order = Order.objects.create(email=request.POST["email"], amount=int(request.POST["amount"]))
        result = confirm.enqueue(order.pk)  # stored when the order is
    return JsonResponse({"order": order.pk, "result": result.id}, status=202)


def show_result(request: HttpRequest, result: str) -> JsonResponse:
    try:
        found = confirm.get_backend().get_result(result)
    except TaskResultDoesNotExist:
        return JsonResponse({"status": "UNKNOWN"}, status=404)
    value = found.return_value if found.status == "SUCCESSFUL" else None
    return JsonResponse({"status": found.status, "attempts": found.attempts, "value": value})
