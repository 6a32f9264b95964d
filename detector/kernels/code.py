"""Where machine code is kept. The one file below the engine that touches the disk, and only while kernels are made."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path
from shutil import rmtree
from stat import S_ISDIR
from time import time
from typing import Any

_IMPORT = re.compile(r"^\s*from ((?:detector|replay)[\w.]*) import ([^(\n]*)", re.MULTILINE)
CACHES_MAX = 3  # machine code of that many versions of a module is kept
YOUNG_S = 3600.0


def keep_code_in(numba: Any, module: str) -> None:
    """Point numba's cache at a folder named after the module's source and all it imports from here: numba itself would
    not notice that a kernel from another file has changed, and would go on with the old code."""
    folder = _folder(numba.__version__, module)
    if not folder.exists():
        _forget_old(folder.parent, module)
    numba.config.CACHE_DIR = str(folder)


def is_kept(module: str) -> bool:
    """Whether some machine code of this version of a module is on disk."""
    from importlib.metadata import version

    folder = _folder(version("numba"), module)
    return any(folder.rglob(f"{module.rpartition('.')[2]}.*.nbi"))


def _folder(numba_version: str, module: str) -> Path:
    caches, package = _caches(), Path(__file__).resolve().parent.parent
    digest = blake2b(numba_version.encode(), digest_size=8)
    for path in sorted(_sources(package.parent, module)):
        digest.update(path.read_bytes())
    return caches / f"{module}-{digest.hexdigest()}"


@cache
def _caches() -> Path:
    """Where folders can be made: as NUMBA_CACHE_DIR says (a volume may outlive the version that wrote to it, so each
    version has folders of its own there, too), beside the program, in the user's cache; else for this boot only."""
    if told := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(told)
    package = Path(__file__).resolve().parent.parent
    if os.access(package, os.W_OK):
        return package / "__pycache__" / "kernels"
    with suppress(RuntimeError, OSError):  # nobody's home; one that cannot be written to
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "foreshock" / "kernels"
        home.mkdir(parents=True, exist_ok=True)
        if os.access(home, os.W_OK):
            return home
    return _temporary()


def _temporary() -> Path:
    """Ours alone, as machine code is read from it; where the name is somebody else's, one of this process's."""
    room = Path(os.environ.get("TMPDIR") or "/tmp")  # noqa: S108  nothing is trusted there but what is ours alone
    folder = room / f"foreshock-kernels-{os.geteuid()}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077:
            return folder
    folder = room / f"foreshock-kernels-{os.urandom(8).hex()}"
    folder.mkdir(mode=0o700)
    return folder


@cache
def _sources(root: Path, module: str) -> frozenset[Path]:
    """The files of a module and of everything under `root` that it imports, directly or not."""
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        for path in (root / f"{name.replace('.', '/')}.py", root / name.replace(".", "/") / "__init__.py"):
            if path in found or not path.is_file():
                continue
            found.add(path)
            for package, names in _IMPORT.findall(path.read_text("utf-8")):
                waiting.append(package)
                waiting.extend(f"{package}.{part.strip()}" for part in names.split(",") if part.strip().islower())
    return frozenset(found)


def _forget_old(caches: Path, module: str) -> None:
    """Keep the newest CACHES_MAX folders of a module. Young ones stay: another process may be compiling into them."""
    known = []
    for path in caches.glob(f"{module}-*"):
        with suppress(FileNotFoundError):  # another process that starts now was first to remove it
            known.append((path.stat().st_mtime, path))
    for changed_s, old in sorted(known)[:-CACHES_MAX]:
        if time() - changed_s > YOUNG_S:
            rmtree(old, ignore_errors=True)
