from pathlib import Path

Path("jobs").mkdir()
Path("jobs/reports.py").write_text(
    'import s3queue\n\n@s3queue.task("reports")\ndef report(team: str) -> None: ...\n', "utf-8"
)


def export_hour(tick): ...


def before(example):
    if example.language == "console":
        from datetime import timedelta

        task_queue.advance(timedelta(minutes=1))  # a host has started
