"""The shop whose tasks the page tests."""

from pathlib import Path

FILES = {
    "shop/__init__.py": """
import s3queue
from shop import mail, payments, reports

def sign_up(address):
    mail.welcome.options(delay=3600).enqueue(address)

@s3queue.task("shop")
def pay(order: str) -> None:
    if order not in payments.charges:
        payments.charge(order)
""",
    "shop/mail.py": """
import s3queue

def smtp(address): ...

sent = set()

@s3queue.task("mail")
def welcome(address: str) -> None:
    smtp(address)
""",
    "shop/payments.py": """
charges = []

def charge(order):
    charges.append(order)
""",
    "shop/reports.py": """
import s3queue

reports = []

@s3queue.task("reports", cron="0 7 * * *")
def report() -> None:
    reports.append("report")
""",
}
for name, text in FILES.items():
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(text, "utf-8")
