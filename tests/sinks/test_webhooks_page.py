"""docs/webhooks.md is true: its code verifies what is sent, its numbers are the program's."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from detector.daemon.circuit import BACKOFF_MAX_S, FAILURES_MAX
from detector.incidents.explain import SUMMARY_MAX, TITLE_MAX
from detector.sinks.http import REFUSED_STATUS, RETRY_AFTER_MAX_S
from detector.sinks.signature import TOLERANCE_S, Secret, sign

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text("utf-8")
SECRET, OLD = "whsec_" + "c2VjcmV0" * 4, "whsec_" + "c2VjcmV1" * 4
BODY = b'{"type":"foreshock.test"}'


def genuine() -> Any:
    """The function that the page gives away."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    room: dict[str, Any] = {}
    exec(compile(code, "docs/webhooks.md", "exec"), room)
    return room["genuine"]


def headers(*secrets: str, stamp: int | None = None) -> dict[str, str]:
    stamp = int(time.time()) if stamp is None else stamp
    signature = sign([Secret(secret) for secret in secrets], "inc_1_1", stamp, BODY)
    return {"webhook-id": "inc_1_1", "webhook-timestamp": str(stamp), "webhook-signature": signature}


@pytest.mark.parametrize("secrets", [(SECRET,), (OLD, SECRET), (SECRET, OLD)])
def test_the_page_s_code_takes_what_is_signed(secrets: tuple[str, ...]) -> None:
    assert genuine()(SECRET, headers(*secrets), BODY)


def test_the_page_s_code_refuses_what_is_not() -> None:
    assert not genuine()(SECRET, headers(OLD), BODY)
    assert not genuine()(SECRET, headers(SECRET), BODY + b" ")
    assert not genuine()(SECRET, headers(SECRET, stamp=int(time.time()) - TOLERANCE_S - 1), BODY)


def test_the_page_s_numbers_are_the_program_s() -> None:
    assert sorted(REFUSED_STATUS) == [400, 406, *range(411, 418), 422, 431] and "400, 406, 411 to 417, 422, 431" in PAGE
    assert (RETRY_AFTER_MAX_S, BACKOFF_MAX_S, FAILURES_MAX, TOLERANCE_S) == (60.0, 300.0, 5, 300)
    assert all(word in PAGE for word in ("a minute at most", "up to five minutes", "After five failures", "> 300"))
    assert f"at most {TITLE_MAX} characters" in PAGE and f"`summary` {SUMMARY_MAX:,}" in PAGE
