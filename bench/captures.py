"""Real captures: what is told of recordings that nobody here made. They lie beside the checkout and are not copied."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
CAPTURES = (
    ("Binance, 2024-08-08, level feeds of three markets", "binance", "binance_20240808/*.ndjson.gz"),
    ("Independent Reserve, orders by id", "independent_reserve", "independent_reserve_l3/INDEPENDENT_RESERVE.*.?.0"),
)
PAGES = ("warning", "critical")
TIMEOUT_S = 600.0
TITLES_MAX = 3


def rows(data: Path = DATA) -> list[dict[str, Any]]:
    """One row a capture: pages, other incidents, and the first pages' titles; or why it was skipped."""
    return [_row(name, form, sorted(data.glob(pattern))) for name, form, pattern in CAPTURES]


def _row(name: str, form: str, paths: list[Path]) -> dict[str, Any]:
    if not paths:
        return {"capture": name, "told": "skipped: it is not on this machine"}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "alerts.jsonl"
        command = [sys.executable, "-c", "from detector.cli import main; main()", "replay", *map(str, paths)]
        command += ["--format", form, "--alerts", str(out), "--no-progress", "--json"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        if done.returncode != 0:
            return {"capture": name, "told": f"failed: {done.stderr.strip()[-200:]}"}
        told = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    alerts = [alert["data"] for alert in told if alert["type"].startswith("foreshock.incident.")]
    opened = [alert for alert in alerts if alert["reason"] in ("opened", "escalated")]
    paged = [alert for alert in opened if alert["severity"] in PAGES]
    first = {alert["incident_id"]: alert for alert in reversed(paged)}
    titles = sorted((alert["detected_at"][11:19], alert["title"]) for alert in first.values())
    said = json.loads(done.stdout)
    return {
        "capture": name,
        "minutes": round((_second(said["to"]) - _second(said["from"])) / 60.0, 1),
        "markets": len(said["markets"]),
        "pages": len(first),
        "incidents": len({alert["incident_id"] for alert in opened}),
        "told": "; ".join(f"{at} {title}" for at, title in titles[:TITLES_MAX]) or "no page",
    }


def _second(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
