"""Ready: the loops made ready before the first message, and how far that is said while it takes long.

Nothing is compiled where machine code is kept from before. The first time, a second process compiles the detectors and
the parser of the native format beside the rest of the engine, and both keep what they made on disk.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from detector.kernels import made
from detector.kernels.code import is_kept
from detector.wiring.config import Configuration
from detector.wiring.warm import warm, warm_engine

SAY_EVERY_S = 5.0  # seconds
# detectors first: the engine comes to them when it is nearly through
BESIDE = "from detector.wiring import config, warm; warm.warm_detectors(config.of({})); warm.warm_parser(config.of({}))"


def ready(config: Configuration, say: Callable[[str], object]) -> float:
    """Returns when nothing is left to compile; seconds it took. `say`: a line now and then, none when it is quick."""
    began_s = time.monotonic()
    done = threading.Event()

    def report() -> None:
        while not done.wait(SAY_EVERY_S):
            compiled, loops = made()
            say(f"{compiled} of {loops} loops are ready, {time.monotonic() - began_s:.0f} seconds")

    reporter = threading.Thread(target=report, name="ready", daemon=True)
    reporter.start()
    try:
        if not is_kept("detector.formats.native_fast") and (os.cpu_count() or 1) > 1:
            with subprocess.Popen([sys.executable, "-c", BESIDE]) as beside:  # noqa: S603  our own words
                warm_engine(config)
                beside.wait()  # what it could not do is done below
        warm(config, opinion=False)
    finally:
        done.set()
        reporter.join()
    return time.monotonic() - began_s
