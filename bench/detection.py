"""The detection laboratory: recall at a promised budget of false pages, against peers. All streams are synthetic.

    python -m bench.detection [--quick | --full] [--tuning] [--no-peers] [--no-ceilings]
        [--fresh] [--json] [--docs] [--not-apart] [--only degraded|unsteady|audit|captures]...

--quick takes minutes, --full runs more than 30 market-weeks. Seeds are held out unless --tuning is given. A run goes on
where another of the same code was stopped, from .run/laboratory/kept; --fresh begins anew. --only runs tables that
stand on streams of their own; with --docs they are put into the page as it is, each with its own date. --not-apart runs
all but those, and leaves them in the page as they are.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.captures import rows as captures
from bench.machine import machine
from bench.peers import compare
from replay.laboratory_amend import SEPARATE, amended, carried
from replay.laboratory_audit import audit_rows
from replay.laboratory_degraded import degraded_rows
from replay.laboratory_investigate import conditions, investigate, unsteady_rows
from replay.laboratory_kept import Kept, place_of
from replay.laboratory_report import markdown, separate_sections, table, terminal

LONG = tuple(name for name in SEPARATE if name != "captures")
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
    parser.add_argument("--fresh", action="store_true", help="nothing is taken over from a run that was stopped")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--docs", action="store_true", help="write docs/detection.md")
    parser.add_argument("--only", choices=SEPARATE, action="append", help="this table alone (may be repeated)")
    parser.add_argument("--not-apart", action="store_true", help="no table that --only may run, but for the captures")
    chosen = parser.parse_args(arguments)
    if chosen.only:
        if chosen.size != "default" or chosen.no_peers or chosen.no_ceilings or chosen.fresh or chosen.not_apart:
            parser.error("--only runs tables anew that have one size and no peers: leave the other options out")
        separate(chosen.only, held_out=not chosen.tuning, docs=chosen.docs, as_json=chosen.json)
        return
    stamp = machine("numpy", "numba", "river", "pyod")
    make = MainAlone if chosen.not_apart else Kept
    kept = make(place_of(chosen.size, held_out=not chosen.tuning), stamp, fresh=chosen.fresh)
    told = investigate(
        chosen.size,
        held_out=not chosen.tuning,
        peers=None if chosen.no_peers else compare,
        ceilings=not chosen.no_ceilings,
        kept=kept,
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    told["captures"] = captures()
    lines = [*conditions(chosen.size, held_out=not chosen.tuning), *sorted({*kept.stamps, stamp})]
    if chosen.docs:
        page = markdown(told, lines)
        if chosen.not_apart:
            page = carried(page, DOCS.read_text("utf-8"), LONG)
        DOCS.write_text(page, encoding="utf-8")
    print(json.dumps(told, indent=1) if chosen.json else terminal(told, lines))


class MainAlone(Kept):
    """Makes none of the tables that stand on streams of their own."""

    def rows(self, name: str, make: Callable[[], Any]) -> Any:
        """See Kept.rows."""
        return [] if name in LONG else super().rows(name, make)


def separate(names: Sequence[str], *, held_out: bool, docs: bool, as_json: bool) -> None:
    """The tables of `names` alone, printed and, if `docs`, put into the page."""
    if docs:
        amended(DOCS.read_text("utf-8"), {}, "")  # a page that cannot take them is said before minutes are spent
    told: dict[str, Any] = {name: rows_of(name, held_out=held_out) for name in SEPARATE if name in names}
    line = machine("numpy", "numba")
    if docs:
        page = DOCS.read_text("utf-8")
        for name, rows in told.items():
            page = amended(page, {name: rows}, line + seeds_of(name, held_out=held_out))
        DOCS.write_text(page, encoding="utf-8")
    print(json.dumps(told, indent=1) if as_json else shown(told, line + seeds_of(next(iter(told)), held_out=held_out)))


def seeds_of(name: str, *, held_out: bool) -> str:
    """What is said of a table's seeds: recordings have none."""
    return "" if name == "captures" else f"; {'held-out' if held_out else 'TUNING'} seeds"


def rows_of(name: str, *, held_out: bool) -> list[dict[str, Any]]:
    """One table's rows."""
    if name == "degraded":
        return degraded_rows(held_out=held_out)
    if name == "unsteady":
        return unsteady_rows(compare, lambda line: print(line, file=sys.stderr, flush=True), held_out=held_out)
    return audit_rows(held_out=held_out) if name == "audit" else captures()


def shown(told: Mapping[str, Any], line: str) -> str:
    """For a screen."""
    parts = [line]
    for title, _, columns, rows in separate_sections(told):
        parts += ["", f"-- {title}", *table(columns, rows)]
    return "\n".join(parts)


if __name__ == "__main__":
    main()
