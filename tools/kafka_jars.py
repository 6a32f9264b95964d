"""Java and the jars of a Kafka broker: resolved through Maven, held against their checksums. Standard library only."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RECIPE = Path(__file__).resolve().parent / "kafka"
RUN = ROOT / ".run" / "kafka"

JAVA_MIN = 17
RESOLVE_MAX_S = 600
LOG_TAIL_LINES = 25

Say = Callable[[str], None]


class KafkaError(Exception):
    """Why there is no broker, as a sentence."""


def say(line: str) -> None:
    """Progress goes to stderr: stdout is for the bootstrap address."""
    print(line, file=sys.stderr, flush=True)


def resolve(say: Say = say) -> Path:
    """.run/kafka/lib with exactly the jars of jars.sha256. Raises KafkaError; never leaves a half-filled directory."""
    RUN.mkdir(parents=True, exist_ok=True)
    library = RUN / "lib"
    with (RUN / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two that start side by side resolve once
        if library.is_dir():
            wrong = differences(library)
            if not wrong:
                return library
            say(f"kafka: resolving again, {wrong[0]}")
        mvn = shutil.which("mvn")
        if mvn is None:
            raise KafkaError("no mvn on the PATH: Maven fetches the broker's jars (apt: maven)")
        fresh = RUN / "lib.new"
        shutil.rmtree(fresh, ignore_errors=True)
        command = (
            mvn,
            "-B",
            "-f",
            str(RECIPE / "pom.xml"),
            "dependency:copy-dependencies",
            f"-DoutputDirectory={fresh}",
        )
        say("kafka: resolving the broker's jars through Maven (once, about 45 MB)")
        started = time.monotonic()
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as maven:
            try:
                output = _listen(maven, say, started)
            except BaseException:
                maven.kill()
                raise
        if maven.returncode:
            raise KafkaError(f"Maven could not resolve {RECIPE / 'pom.xml'}:\n{tail(output)}")
        wrong = differences(fresh)
        if wrong:
            shutil.rmtree(fresh, ignore_errors=True)
            raise KafkaError("the jars are not the ones of jars.sha256, so they are not run: " + "; ".join(wrong[:5]))
        shutil.rmtree(library, ignore_errors=True)
        fresh.rename(library)
        say(
            f"kafka: {len(list(library.iterdir()))} jars, every SHA-256 as expected, {time.monotonic() - started:.0f} s"
        )
        return library


def _listen(maven: subprocess.Popen[bytes], say: Say, started: float) -> str:
    """Maven's output, with a progress line now and then."""
    lines: list[str] = []
    told = started
    assert maven.stdout is not None
    for raw in maven.stdout:
        lines.append(raw.decode(errors="replace"))
        now = time.monotonic()
        if now - started > RESOLVE_MAX_S:
            raise KafkaError(f"Maven did not finish within {RESOLVE_MAX_S} s:\n{tail(''.join(lines))}")
        if now - told > 2:
            told = now
            say(f"kafka: ... {sum('Copying' in line for line in lines)} jars copied, {now - started:.0f} s")
    return "".join(lines)


def differences(library: Path) -> list[str]:
    """What is missing in, strange to, or different in `library`, as sentences; empty = exactly as written down."""
    expected = {}
    for line in (RECIPE / "jars.sha256").read_text().splitlines():
        digest, name = line.split()
        expected[name] = digest
    found = {path.name: path for path in library.iterdir()} if library.is_dir() else {}
    wrong = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    wrong += [f"{name} is not in jars.sha256" for name in sorted(found.keys() - expected.keys())]
    for name in sorted(expected.keys() & found.keys()):
        if hashlib.sha256(found[name].read_bytes()).hexdigest() != expected[name]:
            wrong.append(f"{name} has another SHA-256")
    return wrong


def find_java() -> str:
    """The java on the PATH (or in JAVA_HOME), 17 or newer. Raises KafkaError."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else None
    java = java or shutil.which("java")
    if java is None:
        raise KafkaError(f"no java on the PATH: the broker needs Java {JAVA_MIN} or newer")
    said = subprocess.run((java, "-version"), stdin=subprocess.DEVNULL, capture_output=True)
    match = re.search(r'version "(?:1\.)?(\d+)', said.stderr.decode(errors="replace"))
    if match is None:
        raise KafkaError(f"{java} does not say its version")
    if int(match[1]) < JAVA_MIN:
        raise KafkaError(f"{java} is Java {match[1]}; the broker needs {JAVA_MIN} or newer")
    return java


def tail(text: str) -> str:
    """The last lines, indented."""
    return "\n".join("    " + line for line in text.splitlines()[-LOG_TAIL_LINES:])
