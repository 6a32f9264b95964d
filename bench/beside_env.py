"""The environment that the peers run in: .run/peers-venv, made from bench/peers.lock (hashes checked) at first use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "bench" / "peers.lock"
VENV = ROOT / ".run" / "peers-venv"
SETUP_MAX_S = 600


class CannotInstall(Exception):
    """Its text says why."""


def peers_python(lock: Path = LOCK, venv: Path = VENV) -> Path:
    """The interpreter of the peers' environment, which is made when it is not there or of another lock.

    Only ready-made wheels are taken: a peer that has none for this Python and machine is not built. Raises
    CannotInstall.
    """
    python = venv / "bin" / "python"
    made_from = venv / "made-from"
    wanted = f"{sys.version}\n{lock.read_text()}"
    if python.exists() and made_from.exists() and made_from.read_text() == wanted:
        return python
    print("beside: installing the peers into .run/peers-venv (once, 0.3 GB on disk)", file=sys.stderr, flush=True)
    uv = tried("tools/uv").splitlines()[-1]
    tried(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(venv))
    sync = ("--require-hashes", "--only-binary", ":all:", str(lock))
    tried(uv, "pip", "sync", "--quiet", "--python", str(python), *sync)
    made_from.write_text(wanted)
    return python


def tried(*command: str) -> str:
    """What it says. Raises CannotInstall with the first words of its complaint."""
    # as tools/setup has it: certificates as this machine trusts them
    settings = {"UV_SYSTEM_CERTS": "true", "UV_PYTHON_DOWNLOADS": "never", "UV_LINK_MODE": "copy"}
    environment = {**settings, **os.environ}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SETUP_MAX_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotInstall(str(error)) from error
    if done.returncode:
        raise CannotInstall(brief(" ".join(done.stderr.split())))
    return done.stdout


def brief(said: str) -> str:
    """What fits into a table."""
    return said.replace("|", "/")[:160] or "it said nothing"


def last_words(said: str) -> str:
    """The last line that says something."""
    return brief(next((line.strip() for line in reversed(said.splitlines()) if line.strip()), ""))
