"""A compiled kernel gives what the same lines give as plain Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_whole_fold_is_the_same_compiled_and_as_plain_python() -> None:
    prints = []
    for mode in ("compiled", "python"):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "tests.engine.fingerprint"],
            cwd=ROOT,
            env={**os.environ, "FORESHOCK_KERNELS": mode, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        said, digest = done.stdout.split()
        assert said == mode
        prints.append(digest)
    assert prints[0] == prints[1]
