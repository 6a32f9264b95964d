"""Plug-ins are found, not listed: a name in the configuration is a file, and the file holds the class named after it.

anomaly/cancel_burst.py holds CancelBurst(Detector); `[detectors.cancel_burst]` is its table.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from importlib.resources import files
from typing import Any

BASES = {"anomaly": "Detector", "features": "Group", "formats": "Format"}  # what a plug-in of each room inherits


def class_name(name: str) -> str:
    """The class that the file `name` holds.

    >>> class_name("cancel_burst")
    'CancelBurst'
    """
    return "".join(part.capitalize() for part in name.split("_"))


@cache
def names(room: str) -> tuple[str, ...]:
    """Plug-ins of detector/<room>, sorted, nothing imported. A file is one when it holds the class named after it.
    AssertionError where one would be passed over because its class has another name."""
    texts = {}
    for file in files(f"detector.{room}").iterdir():
        stem, _, suffix = file.name.rpartition(".")
        if suffix == "py" and not stem.startswith("_"):
            texts[stem] = file.read_text("utf-8")
    return among(room, texts)


def among(room: str, texts: Mapping[str, str]) -> tuple[str, ...]:
    """Which of a room's files (name: Python) are plug-ins; see `names`.

    >>> among("anomaly", {"depth_flip": "class DepthFlip(Detector): ...", "sums": "WIDE = 3"})
    ('depth_flip',)
    """
    classes = {stem: _classes(text) for stem, text in sorted(texts.items())}
    made = {BASES[room]}
    while more := {name for own in classes.values() for name, bases in own.items() if bases & made} - made:
        made |= more
    # what others of the room inherit (StreamDetector) is on the way to a plug-in, and none itself
    inherited = {base for own in classes.values() for bases in own.values() for base in bases}
    found = []
    for stem, own in classes.items():
        if own.get(class_name(stem)):
            found.append(stem)
            continue
        stray = sorted((own.keys() & made) - inherited - {BASES[room]})
        assert not stray, f"detector/{room}/{stem}.py must hold class {class_name(stem)}, not {stray[0]}"
    return tuple(found)


def _classes(text: str) -> dict[str, set[str]]:
    """Each class at the top of a file, and what it inherits, without the modules' names."""
    top = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    return {node.name: {ast.unparse(base).rpartition(".")[2] for base in node.bases} for node in top}


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
