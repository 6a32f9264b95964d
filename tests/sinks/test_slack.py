"""Slack: what is worth a message, what is in one, and that no name mentions anybody or leads anywhere."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.sinks.base import Delivery
from detector.sinks.reading import Letter
from detector.sinks.slack import BLOCKS_MAX, FALLBACK_MAX, FIELD_MAX, HEADER_MAX, TEXT_MAX, Slack, escaped
from tests.sinks.letters import ALERTS, BURST, answered, bodies, with_data

HOSTILE = [
    "@everyone",
    "@here",
    "<!channel>",
    "<!here|x>",
    "<@U024BE7LH>",
    "#general",
    "https://evil.example/login",
    "evil.example",
    "<https://evil.example|BTC-PERP>",
    "a&b",
    "*bold*\n> quoted",
    "&lt;!channel&gt;",
    "\u202e\u200bBTC",
]


def messages(*names: str, **more: Any) -> list[Any]:
    return bodies(Slack, *(ALERTS[name] for name in names), **more)


def texts(message: dict[str, Any]) -> list[tuple[str, str]]:
    """(kind, text) of all that is shown, the fallback first."""
    found = [("fallback", message["text"])]
    for block in message["blocks"]:
        below = [block["text"]] if "text" in block else []
        found += [(text["type"], text["text"]) for text in below + block.get("fields", []) + block.get("elements", [])]
    return found


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("opened", "critical, opened"),
        ("updated", None),
        ("updated at info", None),
        ("escalated", "critical, escalated"),
        ("acknowledged", "critical, acknowledged"),
        ("resolved", "critical, resolved"),
        ("reopened", "critical, opened again"),
        ("test", "info, test"),
        ("degraded", "warning, opened"),
        ("well again", "warning, resolved"),
        ("momentary", "warning, opened"),
        ("momentary end", None),
        ("audit", "info, opened"),
        ("heartbeat", None),
    ],
)
def test_each_alert_is_a_message_or_is_left_out(name: str, told: str | None) -> None:
    sent = messages(name)
    assert len(sent) == (told is not None)
    assert all(message["text"].startswith(f"{told}: ") for message in sent)


def test_updates_are_messages_where_somebody_asks_for_them() -> None:
    assert len(messages("updated", "updated at info", "momentary end", updates=True)) == 2


def test_a_message_says_what_how_grave_since_when_where_and_who() -> None:
    (message,) = messages("opened", venue="seed-x")
    kinds = [block["type"] for block in message["blocks"]]
    assert kinds == ["header", "section", "section", "section", "context"]
    whole = "\n".join(text for _, text in texts(message))
    for part in ("BTC-PERP: cancels 13 x their normal", "412/s", "Severity\ncritical, opened", "Kind\ncancel burst"):
        assert part in whole
    for part in (
        "Since\n2026-11-22T",
        "Markets\nBTC-PERP",
        "Behind it\nacct_h:",
        ": 27 %",
        "seed-x",
        BURST.incident_id,
    ):
        assert part in whole
    assert message["unfurl_links"] is False and message["unfurl_media"] is False and message["link_names"] is False


def test_the_only_links_are_those_of_the_configuration() -> None:
    (message,) = messages("opened")
    (marked,) = [text for kind, text in texts(message) if kind == "mrkdwn"]
    page = f"<https://page.example/i/{BURST.incident_id}?a=1&amp;b=2|incident>"
    assert marked == f"{page}  <https://runbook.example/|runbook>"
    assert message["blocks"][-1]["elements"][1]["verbatim"] is True


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_of_a_market_mentions_anybody_or_is_a_link(name: str) -> None:
    more = {"title": f"{name}: cancels", "summary": f"On {name} and @channel.", "markets": [name, "B"], "kind": name}
    (message,) = bodies(Slack, with_data(**more, contributors=[{"account": name, "share": 0.5}], links={}))
    for kind, text in texts(message):
        assert kind in ("fallback", "plain_text")
        assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", text), "an escape is the only use of these three"
        assert not re.search(r"[@#]\w|://|\w\.[a-z]", text), "nothing is left that is parsed by itself"


@given(st.text(max_size=4000), st.lists(st.text(min_size=1, max_size=64), min_size=1, max_size=400, unique=True))
@settings(max_examples=60, deadline=None)
def test_every_text_is_within_its_limit_whatever_it_says(text: str, markets: list[str]) -> None:
    who = [{"account": f"acct_h:{n}" + "&" * 60, "share": 0.1} for n in range(400)]
    text = text.encode("utf-8", "replace").decode()
    markets = [market.encode("utf-8", "replace").decode() for market in markets]
    alert = with_data(title=text, summary=text * 3, markets=markets, contributors=who, expected_every=text)
    letter = msgspec.json.decode(alert.body(), type=Letter)
    message = Slack("c", url="https://hooks.example/x").message(letter, letter.told())
    assert isinstance(message, dict) and len(message["blocks"]) <= BLOCKS_MAX
    for block in message["blocks"]:
        limit = HEADER_MAX if block["type"] == "header" else TEXT_MAX
        assert 0 < _size(block["text"]["text"]) <= limit if "text" in block else True
        assert len(block.get("fields", [])) <= 10
        assert all(0 < _size(field["text"]) <= FIELD_MAX for field in block.get("fields", []))
        assert all(0 < _size(element["text"]) <= TEXT_MAX for element in block.get("elements", []))
    assert _size(message["text"]) <= FALLBACK_MAX


def test_an_escape_is_never_cut_in_two() -> None:
    for limit in range(1, 40):
        cut = escaped("&<>" * 10, limit)
        assert len(cut) <= limit and re.fullmatch(r"(&amp;|&lt;|&gt;)*…?", cut)


def test_a_long_title_is_whole_below_the_header() -> None:
    title = "t" * 199
    (message,) = bodies(Slack, with_data(title=title))
    assert len(message["blocks"][0]["text"]["text"]) == HEADER_MAX
    assert message["blocks"][1]["text"]["text"] == title


def test_a_late_message_says_so() -> None:
    (message,) = bodies(Slack, with_data(delayed_by_s=61))
    assert message["blocks"][-1]["elements"][0]["text"].endswith(", delivered 61 s late")


@pytest.mark.parametrize(
    ("status", "delivery"),
    [(200, Delivery.DELIVERED), (400, Delivery.REJECTED)]
    + [(status, Delivery.RETRY) for status in (302, 401, 403, 404, 405, 410, 429, 500, 503)],
)
async def test_a_channel_that_is_put_back_gets_what_it_missed(status: int, delivery: Delivery) -> None:
    outcome = await answered(Slack, status)
    assert outcome.delivery is delivery and "secret-path" not in outcome.why
    assert status != 410 or outcome.why == "answered 410: the channel is archived"


def test_no_repr_shows_the_address() -> None:
    assert (
        repr(Slack("chat", url="https://hooks.slack.com/services/canary")) == "Slack('chat', https://hooks.slack.com)"
    )


def _size(text: str) -> int:
    """In UTF-16, the least kind way to count."""
    return len(text.encode("utf-16-le")) // 2
