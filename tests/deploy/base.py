"""An image with the Python that runs these tests, made without a registry: what ``BASE`` of the Dockerfile may be."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

#: Of the standard library, what no program here imports.
_LEFT_OUT = shutil.ignore_patterns("test", "tests", "idlelib", "tkinter", "__pycache__", "site-packages", "dist-packages",
                                   "config-*", "ensurepip", "turtledemo", "lib2to3")  # fmt: skip
#: What wheels are linked with beside that, where it is a library of its own.
_FOR_WHEELS = ("libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1", "libgcc_s.so.1", "libresolv.so.2")


def build_base(client: Any, folder: Path) -> str:
    """Build it, and return its tag.

    Args:
        client: of the Docker SDK. folder: empty, for what goes in.
    """
    root = folder / "root"
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    library = root / "usr/local/lib" / version
    shutil.copytree(sysconfig.get_path("stdlib"), library, ignore=_LEFT_OUT, symlinks=False)
    (library / "site-packages").mkdir(exist_ok=True)
    shutil.copytree(Path(sysconfig.get_path("purelib")) / "pip", library / "pip")
    program = root / "usr/local/bin" / version
    program.parent.mkdir(parents=True)
    shutil.copy2(Path(sys.executable).resolve(), program)
    (program.parent / "python3").symlink_to(version)
    modules = [str(path) for path in library.rglob("*.so")]
    for name, path in _libraries([str(program), *modules]).items():
        target = root / path.lstrip("/") if name.startswith("/") else root / "usr/local/lib" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(Path(path).resolve(), target)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    certificates = ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"
    (root / "etc/ssl/certs").mkdir(parents=True)
    shutil.copy2(certificates, root / "etc/ssl/certs/ca-certificates.crt")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (folder / "Dockerfile").write_text(
        "FROM scratch\nCOPY root /\nENV PATH=/usr/local/bin LD_LIBRARY_PATH=/usr/local/lib LANG=C.UTF-8\n"
    )
    client.images.build(path=str(folder), tag="s3queue-test-base", rm=True)
    return "s3queue-test-base"


def _libraries(programs: list[str]) -> dict[str, str]:
    """What they are linked with: path by name, the loader by its path."""
    told = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    found = dict(re.findall(r"^\s+(\S+) => (/\S+) \(", told, re.M))
    folder = Path(found["libc.so.6"]).parent
    found |= {name: str(folder / name) for name in _FOR_WHEELS if (folder / name).exists()}
    loaders = re.findall(r"^\s+(/\S*/ld-linux\S*) \(", told, re.M)
    return found | {loader: loader for loader in loaders}
