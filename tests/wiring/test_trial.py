"""What `foreshock check` finds right, `run` and `replay` can be built from: every key at the edges of what it may be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from detector.model.windows import OPEN_MAX
from detector.wiring.build import build_pipeline
from detector.wiring.config import ConfigurationError, detector_models, of
from detector.wiring.settings import Settings
from detector.wiring.trial import trial
from detector.wiring.units import Duration, Size

SECRET = "whsec_" + "c2VjcmV0" * 4
EXTREMES: dict[type, tuple[Any, ...]] = {
    Duration: ("0s", "1ns", "10ms", "61s", "1h", "365d", "50000d"),
    Size: ("0B", "1B", "1KiB", "32MiB", "4GiB", "4000000000GiB"),
    int: (-5, 0, 1, 86_400, 1 << 20, 10**9, 10**17, 10**20),
    float: (-1.0, 0.0, 1e-300, 1e6, 1e300, float("nan"), float("inf")),
}


def tree(key: str, value: Any) -> dict[str, Any]:
    """{"a": {"b": value}} of "a.b"."""
    for part in reversed(key.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def numbers(model: type[BaseModel], before: str) -> Iterator[tuple[str, type]]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from numbers(kind, f"{before}{name}.")
        elif kind in EXTREMES:
            yield f"{before}{name}", kind


KEYS = dict(numbers(Settings, "")) | {
    key: kind for name, model in detector_models().items() for key, kind in numbers(model, f"detectors.{name}.")
}


@pytest.mark.parametrize("key", KEYS)
def test_a_number_is_refused_in_a_sentence_or_the_engine_can_be_built_with_it(key: str) -> None:
    for value in EXTREMES[KEYS[key]]:
        try:
            config = of(tree(key, value))
        except ConfigurationError as error:
            assert all(problem.sentence for problem in error.problems)
            continue
        trial(config)


@pytest.mark.parametrize("key", [key for key in KEYS if key.endswith("_windows")])
@pytest.mark.parametrize("value", [0, -5, 10**9])
def test_a_detector_sums_over_some_windows_and_not_over_all(key: str, value: int) -> None:
    with pytest.raises(ConfigurationError, match=key):
        of(tree(key, value))


@pytest.mark.parametrize(("width", "lateness"), [("1s", "59s"), ("10ms", "590ms"), ("1h", "1h")])
def test_as_late_as_windows_can_be_kept_open_and_no_later(width: str, lateness: str) -> None:
    told = {"windows": {"width": width}, "input": {"lateness": lateness, "early": "0s"}}
    assert build_pipeline(of(told), pseudonym_key=b"k").shard.ring <= OPEN_MAX
    told["input"]["lateness"] = str(Duration(Duration.of(lateness) + 1))
    with pytest.raises(ConfigurationError, match="lateness"):
        of(told)


def webhook(**keys: Any) -> dict[str, Any]:
    return {"destinations": {"x": {"type": "webhook", "url": "https://h.example/", "secret": SECRET, **keys}}}


@pytest.mark.parametrize(
    ("told", "word"),
    [
        (webhook(secret="abc"), "secret"),
        (webhook(url="https://"), "host"),
        (webhook(url="https://u:p@h/"), "user or password"),
        (webhook(url="https://h:99999/"), "not readable"),
        (webhook(url="https://[::1/"), "not readable"),
        (webhook(url=f"https://{'a' * 64}.example/"), "not readable"),
        ({"http": {"bind": "127.evil.example:9464"}}, "other machines"),
        ({"http": {"bind": "127.0.0.1:99999"}}, "65535"),
        ({"http": {"bind": "0.0.0.0:9464", "token": ""}}, "other machines"),
        ({"http": {"token_file": "absent"}}, "absent"),
        ({"kafka": {"bootstrap": "127.0.0.1:99999"}}, "65535"),
        ({"kafka": {"bootstrap": "127.0.0.1:0"}}, "port 0"),
        ({"kafka": {"bootstrap": f"{'a' * 64}.example:9092"}}, "63"),
        ({"kafka": {"bootstrap": "[::zz]:9092"}}, "kafka"),
        ({"kafka": {"topics": ["x", "x"]}}, "once"),
        ({"kafka": {"tls": {"enabled": True, "ca_file": "absent.pem"}}}, "No such file"),
        ({"privacy": {"key_file": "absent"}}, "absent"),
    ],
)
def test_what_run_would_stumble_over_is_found_before(told: dict[str, Any], word: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=word):
        trial(of(told))


def test_all_of_it_is_said_at_once() -> None:
    told = webhook(secret="abc") | {"kafka": {"topics": ["x", "x"]}, "http": {"token_file": "absent"}}
    with pytest.raises(ConfigurationError) as caught:
        trial(of(told))
    assert len(caught.value.problems) == 3
