from pathlib import Path

Path("jobs").mkdir()
Path("jobs/mail.py").write_text(
    'import s3queue\n\n@s3queue.task("mail")\ndef send(user: int, subject: str = "hello") -> None: ...\n', "utf-8"
)
Path("calls.jsonl").write_text("[7]\n[8]\n", "utf-8")
