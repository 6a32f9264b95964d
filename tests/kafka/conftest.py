"""A real broker for the tests in here: the one that FORESHOCK_KAFKA__BOOTSTRAP names, or one of our own."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from replay.produce import create_topic
from replay.produce import produce as send
from tools.kafka import BOOTSTRAP_VARIABLE, Broker, KafkaError

HERE = Path(__file__).resolve().parent
REQUIRED = ("CI", "FORESHOCK_REQUIRE_KAFKA")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.kafka)


@pytest.fixture(scope="session")
def broker() -> Iterator[str]:
    """The bootstrap address."""
    named = os.environ.get(BOOTSTRAP_VARIABLE)
    if named:
        yield named
        return
    own = Broker()
    try:
        bootstrap = own.start()
    except KafkaError as error:
        if any(os.environ.get(name) for name in REQUIRED):
            pytest.fail(f"a broker is required here, and there is none: {error}")
        pytest.skip(f"no broker: {error}")
    try:
        yield bootstrap
    finally:
        own.stop()


class NewTopic(Protocol):
    async def __call__(self, partitions: int = 1, **configs: str) -> str: ...


@pytest.fixture
def new_topic(broker: str) -> NewTopic:
    """Makes a topic of a name nobody used; configs with _ for '.'."""

    async def make(partitions: int = 1, **configs: str) -> str:
        name = f"test-{uuid.uuid4().hex[:12]}"
        settings = {key.replace("_", "."): value for key, value in configs.items()}
        assert await create_topic(broker, name, partitions, configs=settings)
        return name

    return make


@pytest.fixture
async def topic(new_topic: NewTopic) -> AsyncIterator[str]:
    """A topic of one partition."""
    yield await new_topic()


@pytest.fixture
def produce(broker: str) -> Callable[..., Awaitable[int]]:
    """replay.produce.produce, at the broker."""

    async def to_broker(topic: str, values: Any, **options: Any) -> int:
        return await send(broker, topic, values, **options)

    return to_broker
