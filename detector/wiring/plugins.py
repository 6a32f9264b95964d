"""Plug-ins are found, not listed: a name in the configuration is a file, and the file holds the class named after it.

anomaly/cancel_burst.py holds CancelBurst(Detector); `[detectors.cancel_burst]` is its table.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from dataclasses import MISSING, fields
from functools import cache
from importlib.resources import files
from typing import Any


def class_name(name: str) -> str:
    """The class that the file `name` holds.

    >>> class_name("cancel_burst")
    'CancelBurst'
    """
    return "".join(part.capitalize() for part in name.split("_"))


@cache
def names(room: str) -> tuple[str, ...]:
    """Plug-ins of detector/<room>, sorted, nothing imported. A file is one when it holds the class named after it."""
    found = []
    for file in files(f"detector.{room}").iterdir():
        stem, _, suffix = file.name.rpartition(".")
        if suffix != "py" or stem.startswith("_"):
            continue
        top = ast.parse(file.read_text("utf-8")).body
        if any(isinstance(node, ast.ClassDef) and node.name == class_name(stem) and node.bases for node in top):
            found.append(stem)
    return tuple(sorted(found))


def load(room: str, name: str) -> type[Any]:
    """The class of plug-in `name`, one of names(room)."""
    assert name in names(room), f"no {room} named {name}"
    found = getattr(importlib.import_module(f"detector.{room}.{name}"), class_name(name))
    assert isinstance(found, type)
    return found


def described(params: type[Any]) -> list[tuple[str, Any, str]]:
    """(key, default, description) of a frozen dataclass; the description is the comment beside the field."""
    comments = {}
    for line in inspect.getsource(params).splitlines():
        code, mark, comment = line.partition("  # ")
        name, colon, _ = code.partition(":")
        if mark and colon:
            comments[name.strip()] = comment.strip()
    assert all(f.default is not MISSING for f in fields(params)), f"{params}: every parameter ships with a default"
    return [(f.name, f.default, comments.get(f.name, "")) for f in fields(params)]
