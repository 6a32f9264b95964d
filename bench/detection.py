"""The detection laboratory: recall at a promised budget of false pages, against peers. All streams are synthetic.

    python -m bench.detection [--quick | --full] [--tuning] [--no-peers] [--no-ceilings]
        [--json] [--docs]

--quick takes minutes, --full runs more than 30 market-weeks. Seeds are held out unless --tuning is given.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.captures import rows as captures
from bench.machine import machine
from bench.peers import compare
from replay.laboratory_investigate import conditions, investigate
from replay.laboratory_report import markdown, terminal

DOCS = Path(__file__).resolve().parent.parent / "docs" / "detection.md"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it and print it."""
    parser = argparse.ArgumentParser(prog="bench.detection")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", dest="size", action="store_const", const="quick", default="default")
    sizes.add_argument("--full", dest="size", action="store_const", const="full")
    parser.add_argument("--tuning", action="store_true", help="tuning seeds and markets instead of held-out ones")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--no-ceilings", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--docs", action="store_true", help="write docs/detection.md")
    chosen = parser.parse_args(arguments)
    told = investigate(
        chosen.size,
        held_out=not chosen.tuning,
        peers=None if chosen.no_peers else compare,
        ceilings=not chosen.no_ceilings,
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    told["captures"] = captures()
    lines = [*conditions(chosen.size, held_out=not chosen.tuning), machine("numpy", "numba", "river", "pyod")]
    if chosen.docs:
        DOCS.write_text(markdown(told, lines), encoding="utf-8")
    print(json.dumps(told, indent=1) if chosen.json else terminal(told, lines))


if __name__ == "__main__":
    main()
