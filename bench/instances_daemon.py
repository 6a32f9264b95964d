"""One instance of the daemon that shares a topic with others of its group. A child process of bench.instances.

It is the daemon of bench.live, and waits for a line from its parent three times: when its share of the partitions is
assigned, when its opening is read, and when its share is read to the end (an instance that left earlier would hand its
partitions to the others, who would read them from the start). Each time it first says the word for it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.live_daemon import Watched, configuration, measure
from detector.daemon import logs
from detector.model.records import RecordBatch
from detector.wiring.warm import warm

ASSIGNED, OPENED, DONE = "assigned", "opened", "done"
LOOK_S = 0.02


class Sharing(Watched):
    """A source that begins when its share is assigned, and ends when the parent has heard of everybody's end."""

    share: int  # partitions
    opening: Sequence[int]  # records of each partition before the clocks run
    records: Sequence[int]  # of each partition

    async def poll(self, timeout_s: float) -> Sequence[RecordBatch]:
        """See Source.poll."""
        ours = [number for _, number in await self.partitions()]
        if not self.expected:
            if len(ours) != self.share:
                await asyncio.sleep(LOOK_S)  # the group is not complete yet
                return []
            await turn(ASSIGNED)
            self.after = sum(self.opening[number] for number in ours)
            self.expected = sum(self.records[number] for number in ours)
        elif not self.first and self.seen >= self.after:
            await turn(OPENED)
        return await super().poll(timeout_s)

    async def ended(self) -> None:
        """Stay until everybody is there."""
        assert self.seen == self.expected and not any(self.lag().values()), "a record was read twice, or by nobody"
        await turn(DONE)
        await super().ended()


async def turn(word: str) -> None:
    """Say it, and wait for the parent's line. The group's heartbeats go on meanwhile."""
    print(word, flush=True)
    if not await asyncio.to_thread(sys.stdin.readline):
        raise EOFError("the parent has gone")


def main() -> None:
    """Print one line of JSON, after the words."""
    told = json.loads(sys.argv[1])
    logs.configure("error", json=True)
    Sharing.share, Sharing.opening, Sharing.records = told["share"], told["opening"], told["records"]
    with tempfile.TemporaryDirectory() as home:
        config = configuration(told["bootstrap"], told["topic"], Path(home), group=told["group"])
        warm(config)
        result: dict[str, object] = {**asyncio.run(measure(config, 0, 0, "auto", Sharing))}
        path = Path(home) / "alerts.jsonl"
        alerts = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        opened = [alert["data"] for alert in alerts if alert["type"] == "foreshock.incident.opened"]
        result["opened"] = [[data["incident_id"], data["markets"]] for data in opened]
    print(json.dumps(result))


if __name__ == "__main__":
    main()
