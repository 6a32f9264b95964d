"""The tree as the house's tests see it: the files git knows or would take, and Python's syntax of them."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The engine's rooms: pure (house.md). What import-linter cannot see in them is tested here.
PURE = ("anomaly", "engine", "features", "formats", "incidents", "kernels", "model")
ROOMS = (*PURE, "cli", "daemon", "page", "sinks", "sources", "store", "wiring")
PLUGIN_ROOMS = {"anomaly": "Detector", "features": "Group", "formats": "Format", "sinks": "Sink", "sources": "Source"}


@cache
def files() -> tuple[Path, ...]:
    """Every file of the project, generated and ignored ones not."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = {name for name in listed.stdout.decode().split("\0") if name}
    return tuple(sorted(path for name in names if (path := ROOT / name).is_file()))


def python(*folders: str) -> list[Path]:
    """Python files below `folders` (relative to the root), or all of them."""
    roots = [ROOT / folder for folder in folders] or [ROOT]
    return [path for path in files() if path.suffix == ".py" and any(path.is_relative_to(root) for root in roots)]


@cache
def syntax(path: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse(path.read_text("utf-8"), str(path))


def short(path: Path) -> str:
    """Relative to the root, for a message."""
    return str(path.relative_to(ROOT))
