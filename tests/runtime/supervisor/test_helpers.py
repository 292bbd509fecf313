"""What `multiprocess` starts beside the children of a supervisor ends with it, in a program that goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.deadline import DEADLINE_S

#: In an interpreter of its own: others that ran in this one may have started helpers, which then stay.
PROGRAM = """
import os
import psutil
import s3queue
from multiprocess import get_context
from s3queue.runtime.supervisor import helpers as ending

s3queue.configure(store={url!r})

@s3queue.task(queue="q")
def f(): ...

def helpers():
    lines = [" ".join(one.cmdline()) for one in psutil.Process().children(recursive=True)]
    return sorted(name for line in lines for name in ("forkserver", "resource_tracker") if f"multiprocess.{{name}}" in line)

if __name__ == "__main__":
    ending._END_S = {deadline_s}
    if {before}:
        child = get_context({method!r}).Process(target=os.getpid)
        child.start()
        child.join()
    before = helpers()
    f.enqueue()
    assert s3queue.Supervisor(workers=1, start_method={method!r}).run(until_empty=True).messages == 1
    print(before, helpers())
"""


def told(tmp_path: Path, method: str, *, before: bool) -> list[str]:
    script = tmp_path / "program.py"
    script.write_text(
        PROGRAM.format(url=f"sqlite:///{tmp_path}/store.db", method=method, before=before, deadline_s=DEADLINE_S)
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_helpers_that_a_run_has_started_end_with_it(tmp_path: Path, method: str) -> None:
    assert told(tmp_path, method, before=False) == ["[] []"]


def test_helpers_that_were_there_before_stay(tmp_path: Path) -> None:
    both = ["forkserver", "resource_tracker"]
    assert told(tmp_path, "forkserver", before=True) == [f"{both} {both}"]
