"""kill -9 in a loop, at any moment: every alert arrives, none under two keys, and the state counts every record once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from detector.page.receiver import Receiver, Word
from detector.store import snapshot
from detector.store.store import Store
from tests.daemon.story import expected_keys
from tests.sinks.test_signature import SECRET

ROOT = Path(__file__).resolve().parents[2]
RECORDS, PARTITIONS, KILLS = 1_500, 2, 6


async def child(directory: Path, url: str) -> asyncio.subprocess.Process:
    script = str(Path(__file__).with_name("child.py"))
    return await asyncio.create_subprocess_exec(
        sys.executable, script, str(directory), url, SECRET, str(RECORDS), str(PARTITIONS),
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip


@pytest.mark.slow
async def test_killed_again_and_again_it_loses_nothing_and_tells_nothing_under_two_names(tmp_path: Path) -> None:
    seed = int.from_bytes(os.urandom(4), "little")
    print(f"seed {seed}")
    dice = Random(seed)
    taken: dict[str, bytes] = {}
    transitions: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    order: defaultdict[str, list[int]] = defaultdict(list)

    def take(word: Word) -> None:
        assert word.key not in taken
        taken[word.key] = word.body
        data: dict[str, Any] = msgspec.json.decode(word.body)["data"]
        transitions[data["incident_id"], data["seq"]].add(word.key)
        order[data["incident_id"]].append(data["seq"])

    receiver = Receiver([SECRET], take)
    await receiver.start()
    kills, before = 0, 0
    expected = expected_keys(RECORDS, PARTITIONS)
    try:
        while kills < KILLS:
            process = await child(tmp_path, receiver.url)
            # somewhere after its first new alert: so there is progress, and any moment of the loop may be the one
            async with asyncio.timeout(20):
                while len(taken) == before and process.returncode is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
            await asyncio.sleep(dice.uniform(0.0, 0.15))
            assert process.returncode is None, "it died by itself"
            process.send_signal(signal.SIGKILL)
            await process.wait()
            kills, before = kills + 1, len(taken)
            if len(taken) == len(expected):
                break
        process = await child(tmp_path, receiver.url)
        async with asyncio.timeout(40):
            while len(taken) < len(expected) and process.returncode is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    finally:
        await receiver.close()
    assert kills >= KILLS // 2, "the story was over too soon to say anything"
    assert set(taken) == expected
    assert all(len(keys) == 1 for keys in transitions.values())
    assert all(seqs == sorted(seqs) for seqs in order.values())
    store = await Store.open(tmp_path)
    checkpoint = await store.load()
    assert checkpoint is not None and checkpoint.state is not None
    assert snapshot.decode(checkpoint.state)["sum"] == PARTITIONS * sum(range(RECORDS))
    assert (await store.dead_letter_counts()) == (PARTITIONS * RECORDS // 5, 0)
    count = (await store.outbox_counts())["oncall"]
    assert (count.pending, count.dead, count.delivered) == (0, 0, len(expected))
    await store.close()
