"""URLs of topic ranges; what needs a broker is in tests/kafka."""

from __future__ import annotations

import pytest

from replay.topic import Bound, TopicUnreadable, TopicUrl, UrlError, open_topic, parse_url


def test_a_url_names_broker_topic_and_both_ends() -> None:
    assert parse_url("kafka://k:9092/market.events") == TopicUrl("k:9092", "market.events")
    url = parse_url("kafka://k:9092,l:9092/orders?from=2026-01-05T01:00:00+01:00&to=1767571200000000001")
    assert url.bootstrap == "k:9092,l:9092"
    assert url.begin == Bound(at_ms=1_767_571_200_000) and url.end == Bound(at_ms=1_767_571_200_001)


@pytest.mark.parametrize(
    "url",
    [
        "kafka://k:9092",
        "kafka://k:9092/",
        "kafka:///orders",
        "kafka://k:9092/a/b",
        "kafka://user:secret@k:9092/orders",
        "kafka://k:9092/orders?from=soon",
        "kafka://k:9092/orders?from=offset:-1",
        "kafka://k:9092/orders?since=2026-01-05",
        "kafka://k:9092/orders?from=",
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_and_no_password_repeated(url: str) -> None:
    with pytest.raises(UrlError) as caught:
        parse_url(url)
    assert "secret" not in str(caught.value)


def test_a_broker_that_is_not_there_is_said_by_its_address() -> None:
    with pytest.raises(TopicUnreadable, match=r"127\.0\.0\.1:9"):
        open_topic(parse_url("kafka://127.0.0.1:9/orders"), {})
