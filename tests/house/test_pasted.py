"""Examples of these pages run when they are pasted, one after the other, into an empty file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("how-to/middleware.md", "how-to/progress.md", "how-to/batches.md", "reference/payloads.md")
#: What a page needs of its reader: functions of his own, and where to send messages to.
_READER = {"how-to/batches.md": "import s3queue\ns3queue.configure(store='sqlite:///{path}/q.db')\n"}


@pytest.mark.parametrize("page", PAGES)
def test_examples_of_a_page_run_as_they_stand(page: str, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text("utf-8"), re.DOTALL)
    assert blocks
    code = _READER.get(page, "").format(path=tmp_path) + "\n\n".join(blocks)
    file = tmp_path / "pasted.py"
    file.write_text(code, "utf-8")
    path = os.pathsep.join([str(ROOT), str(ROOT / "backends")])
    ran = subprocess.run(
        [sys.executable, str(file)], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
