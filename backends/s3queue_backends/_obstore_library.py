"""A second copy of obstore's extension module, for the child of a process that has used the first one.

The copy has a runtime of its own. It takes 15 MB and about 15 ms.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader
from shutil import copyfileobj
from tempfile import NamedTemporaryFile
from typing import Any

import obstore._obstore as _loaded

#: Pid of the process in which the imported module has its runtime; 0 before the first connection.
_runtime_pid = 0
_copies: dict[int, Any] = {}


def library_here() -> Any:
    """The extension module to use in this process."""
    global _runtime_pid
    pid = os.getpid()
    if _runtime_pid in (0, pid):
        _runtime_pid = pid
        return _loaded
    if pid not in _copies:
        _copies[pid] = _copy()
    return _copies[pid]


def _copy() -> Any:
    """A second copy of the extension module.

    From another file under another name, since the dynamic loader keys on both. In memory where the system allows it,
    because a folder for temporary files may forbid execution.
    """
    with ExitStack() as stack:
        original = stack.enter_context(open(str(_loaded.__file__), "rb"))
        if hasattr(os, "memfd_create"):
            copy: Any = stack.enter_context(os.fdopen(os.memfd_create("obstore"), "wb"))
            path = f"/proc/{os.getpid()}/fd/{copy.fileno()}"
        else:
            copy = stack.enter_context(NamedTemporaryFile(suffix=".so"))
            path = copy.name
        copyfileobj(original, copy, 1 << 20)
        copy.flush()
        loader = ExtensionFileLoader("obstore._obstore", path)
        spec = spec_from_loader("obstore._obstore", loader)
        assert spec is not None
        module = module_from_spec(spec)
        loader.exec_module(module)
        return module
