"""How fast it is.

python -m bench [NAME [ARGUMENTS]...]    one bench, or all of them
python -m bench --docs [NAME]...         all of them, or these, written to docs/performance.md; other parts stay

live     the whole daemon on a real Kafka, against a loop that only counts (needs Java and Maven)
latency  event to webhook in real time, with and without early looks (9 minutes; needs Java and Maven)
instances
         two daemons of a group on a core each, against one on one core (needs Java and Maven)
windows  what a closed window costs above the fold, for 200 markets
stages   where the engine's time goes, stage by stage
replay   a file to alerts, stage by stage
decode   the native format: the fast parser, the general one, json.loads
early    whether what is seen early stands at its window's close, and what a look costs (not part of all)
guard    what CI runs: fails a change that makes an event a fifth dearer (not part of the page)
scale    the engine from 10 to 1,000 markets, 10^3 to 10^6 accounts, 10^5 to 10^7 live orders (some minutes, 2 GB)
snapshot the pause, the writing and the reading of a checkpoint: 1,000 markets, 10^6 open orders
soak     a long synthetic log at replay speed: fails when memory or the cost of an event grows (not part of all; `--docs
         soak` reads 10^9 events, ten minutes, and puts it on the page)
start    foreshock --help, getting ready with and without kept machine code (not part of all; `--docs start` puts it on
         the page)
beside   Quix Streams, bytewax, River, PyOD, bare clients and Java beside us (eight minutes, not part of all; installs
         the peers into .run/peers-venv; `--docs beside` puts it on the page)
memory   bytes a market, an account, an open order, and what a full engine really takes
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

BENCHES = ("live", "instances", "latency", "stages", "windows", "replay", "decode", "scale", "snapshot", "memory")
ALONE = ("early", "guard")  # not of the page
ASKED = ("beside", "soak", "start")  # long; on the page once they were asked for
FULL = {"soak": ("--events", "1000000000"), "start": ("--cold",)}  # what they are told for the page
DOCS = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
HEAD = """# Performance

Written by `python -m bench --docs`; nothing here is typed by hand. All events are synthetic. Figures of one table were
measured in one run on one machine: compare its ratios, not the numbers of two tables or two machines.
"""


def main() -> None:
    """See the module's docstring."""
    words = sys.argv[1:]
    if words[:1] == ["--docs"] and {*words[1:]} <= {*BENCHES, *ASKED}:
        DOCS.write_text(page(DOCS.read_text(), {name: section(name) for name in words[1:] or BENCHES}))
    elif words and words[0] in (*BENCHES, *ALONE, *ASKED):
        importlib.import_module(f"bench.{words[0]}").main(words[1:])
    elif words:
        sys.exit((__doc__ or "").strip())
    else:
        for name in BENCHES:
            print(f"--- {name}", flush=True)
            subprocess.run((sys.executable, "-m", f"bench.{name}"), check=True)


def page(before: str, fresh: dict[str, str]) -> str:
    """The page with the parts in `fresh` new; what else it had of our benches stays."""
    parts = {part.partition(":")[0]: f"## {part}" for part in f"\n{before}".split("\n## ")[1:]} | fresh
    return "\n".join([HEAD, *(parts[name].rstrip("\n") + "\n" for name in (*BENCHES, *ASKED) if name in parts)])


def section(name: str) -> str:
    """One bench's part of the page: what it is, and what it printed."""
    told = importlib.import_module(f"bench.{name}").__doc__ or ""
    words = FULL.get(name, ())
    command = (sys.executable, "-m", f"bench.{name}", *words)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout}\nbench.{name} ended with {done.returncode}: the page stays as it was")
    first, _, rest = told.strip().partition("\n")
    text = "\n".join(line for line in rest.splitlines() if not line.strip().startswith("python -m"))
    said = done.stdout.strip()
    table = said if "\n|---" in said else f"```\n{said}\n```"
    asked = " ".join((name, *words))
    return f"## {name}: {first}\n\n`python -m bench {asked}`\n\n{text.strip()}\n\n{table}\n"


if __name__ == "__main__":
    main()
