"""foreshock doctor: what this machine is missing, and how to get it."""

from __future__ import annotations

import importlib
import os
import platform
import resource
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import typer

from detector.cli.base import Exit, command_line, show_rows
from detector.cli.options import ConfigOption, JsonOption
from detector.wiring.config import Configuration, ConfigurationError, load

app = command_line()
FILES_MIN = 1024
DISK_BYTES_MIN = 1 << 30
PACKAGES = ("aiohttp", "aiokafka", "cramjam", "msgspec", "numba", "numpy", "pyarrow", "pyod", "river", "zstandard")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. bad: the daemon cannot run; poor: something does less."""

    what: str
    state: Literal["good", "poor", "bad"]
    why: str


@app.command()
def doctor(path: ConfigOption = None, as_json: JsonOption = False) -> None:
    """What this machine is missing, and how to get it.

    Exit codes: 0 it can run, 1 it cannot.
    """
    findings = [*_python(), *_packages(), _kernels(), *_limits(), *_configured(path), *_java()]
    rows = [{"state": finding.state, "what": finding.what, "why": finding.why} for finding in findings]
    show_rows(rows, ("state", "what", "why"), as_json=as_json, empty="")
    raise typer.Exit(Exit.FINDINGS if any(finding.state == "bad" for finding in findings) else Exit.DONE)


def _python() -> Iterator[Finding]:
    version = platform.python_version()
    good = sys.version_info >= (3, 11)
    yield Finding("python", "good" if good else "bad", version if good else f"{version}: 3.11 or newer is needed")
    wide = sys.maxsize > 2**32
    yield Finding("machine", "good" if wide else "bad", f"{platform.machine()}, {os.cpu_count()} processors")


def _packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            module = importlib.import_module(name)
        except Exception as error:  # a package that breaks while it is imported is as good as absent
            yield Finding(name, "bad", f"cannot be imported ({type(error).__name__}: {error}); make setup")
        else:
            yield Finding(name, "good", str(getattr(module, "__version__", "")))


def _kernels() -> Finding:
    from detector.kernels import COMPILED
    from detector.kernels.digest import digest

    if not COMPILED:
        return Finding("kernels", "poor", "FORESHOCK_KERNELS=python: a hundred times slower, for tests only")
    try:
        right = digest(b"foreshock", (1, 2)) == digest(b"foreshock", (1, 2)) != 0
    except Exception as error:  # whatever a compiler says on a machine we do not know
        return Finding("kernels", "bad", f"the compiler fails: {type(error).__name__}: {error}")
    return Finding("kernels", "good" if right else "bad", "compiled" if right else "compiled loops give wrong results")


def _limits() -> Iterator[Finding]:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = files >= FILES_MIN
    yield Finding(
        "open files", "good" if enough else "poor", f"{files}" + ("" if enough else f": ulimit -n {FILES_MIN}")
    )


def _configured(path: Path | None) -> Iterator[Finding]:
    try:
        config: Configuration = load(path)
    except ConfigurationError as error:
        yield Finding("configuration", "bad", str(error).replace("\n", "; "))
        return
    yield Finding("configuration", "good", str(config.path or "the defaults"))
    directory = config.settings.state.directory
    below = next(place for place in (directory, *directory.absolute().parents) if place.exists())
    if not os.access(below, os.W_OK):
        yield Finding("state.directory", "bad", f"{below} cannot be written to")
        return
    free = shutil.disk_usage(below).free
    state: Literal["good", "poor"] = "good" if free >= DISK_BYTES_MIN else "poor"
    yield Finding("state.directory", state, f"{directory}: {free >> 20} MiB free")


def _java() -> Iterator[Finding]:
    for name, use in (("java", "JDK 17"), ("mvn", "Maven")):
        found = shutil.which(name)
        why = found or f"not on PATH: {use} is needed only for `make quickstart` and the tests against a real broker"
        yield Finding(name, "good" if found else "poor", why)
