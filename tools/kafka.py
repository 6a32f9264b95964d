#!/usr/bin/env python3
"""A real Apache Kafka on loopback, from nothing but Java and Maven; for tests, the quickstart and benchmarks.

    tools/kafka.py start [--name N] [--set KEY=VALUE]...   start one, print its bootstrap address
    tools/kafka.py status | stop [--name N]
    tools/kafka.py run [--set KEY=VALUE]... -- COMMAND...  with FORESHOCK_KAFKA__BOOTSTRAP set; stopped whatever happens

The jars come through Maven (tools/kafka/pom.xml), are compared with tools/kafka/jars.sha256 and kept in .run/kafka/lib.
Each broker has a throw-away directory of its own under .run/kafka/brokers. Standard library only.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import types
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.kafka_broker import STOP_MAX_S, Broker, brokers
from tools.kafka_jars import KafkaError, say

__all__ = ["BOOTSTRAP_VARIABLE", "Broker", "KafkaError"]

BOOTSTRAP_VARIABLE = "FORESHOCK_KAFKA__BOOTSTRAP"


class Stopped(BaseException):
    """A signal asked us to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run(command: list[str], properties: Mapping[str, str]) -> int:
    """Start, run `command`, stop whatever happens. The command's exit code, or 128 + the signal that ended us."""

    def stop(number: int, _: types.FrameType | None) -> None:
        raise Stopped(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    broker = Broker(properties=properties)
    child: subprocess.Popen[bytes] | None = None
    try:
        environment = os.environ | {BOOTSTRAP_VARIABLE: broker.start()}
        child = subprocess.Popen(command, env=environment)
        code = child.wait()
        return code if code >= 0 else 128 - code
    except FileNotFoundError as error:
        raise KafkaError(f"no such command: {command[0]}") from error
    except Stopped as stopped:
        return 128 + stopped.number
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # what is left is short, and must not be left half done
        if child is not None and child.poll() is None:
            child.terminate()
            try:
                child.wait(STOP_MAX_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        broker.stop()


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="kafka.py", description=__doc__.splitlines()[0] if __doc__ else "")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, meaning in (
        ("start", "start a broker that stays, print its bootstrap address"),
        ("stop", "stop it and remove its directory"),
        ("run", "start, run a command, stop"),
        ("status", "who runs where; exit code 1 when nobody does"),
    ):
        command = commands.add_parser(name, help=meaning)
        if name in ("start", "stop"):
            command.add_argument(
                "--name", default="default", help="several may run side by side (default: %(default)s)"
            )
        if name in ("start", "run"):
            command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a server property")
        if name == "run":
            command.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND...")
    return parser


def main() -> int:
    """0 done, 1 nobody runs (status), 2 usage, 4 no broker; `run` gives the command's own code."""
    parser = arguments()
    options = parser.parse_args()
    chosen = {}
    for setting in getattr(options, "set", []):
        key, equals, value = setting.partition("=")
        if not equals:
            parser.error(f"--set wants KEY=VALUE, not {setting!r}")
        chosen[key] = value
    try:
        if options.command == "start":
            print(Broker(options.name, chosen, detached=True).start(), flush=True)
        elif options.command == "stop":
            Broker(options.name).stop()
        elif options.command == "run":
            words = options.words[1:] if options.words[:1] == ["--"] else options.words
            if not words:
                parser.error("run wants a command: kafka.py run -- COMMAND...")
            return run(words, chosen)
        else:
            alive = [broker for broker in brokers() if broker.running]
            for broker in alive:
                print(f"{broker.name} {broker.bootstrap}")
            return 0 if alive else 1
    except KafkaError as error:
        say(f"kafka: {error}")
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
