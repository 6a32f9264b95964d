"""Which topic it is: the id that a broker gave a topic when it was made. A helper of kafka_member.py, no plug-in.

A topic that is deleted and made anew has its old name and offsets that begin again: only its id tells it apart
(KIP-516, brokers from 2.8 on). aiokafka asks for metadata in a version that is older than these ids, so the question is
put here, with aiokafka's building blocks and over its connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from io import BytesIO
from typing import Any
from uuid import UUID

import structlog
from aiokafka.protocol.api import Request, RequestStruct, Response  # type: ignore[import-untyped]
from aiokafka.protocol.types import (  # type: ignore[import-untyped]
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

ASK_MAX_S = 5.0

log = structlog.get_logger(__name__)


class Uuid(AbstractType):  # type: ignore[misc]  # aiokafka is not typed
    """Sixteen bytes."""

    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))


_NOTHING = UUID(int=0)  # of a request by name, and of a broker that has no ids
_TAGS = ("tags", TaggedFields)
_NUMBERS = CompactArray(Int32)


class MetadataResponse_v11(Response):  # type: ignore[misc]
    """Kafka's Metadata, version 11 (KIP-516)."""

    API_KEY = 3
    API_VERSION = 11
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32), ("host", CompactString("utf-8")), ("port", Int32),
                ("rack", CompactString("utf-8")), _TAGS,
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16), ("name", CompactString("utf-8")), ("topic_id", Uuid), ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16), ("partition", Int32), ("leader", Int32), ("leader_epoch", Int32),
                        ("replicas", _NUMBERS), ("isr", _NUMBERS), ("offline_replicas", _NUMBERS), _TAGS,
                    ),
                ),
                ("authorized_operations", Int32), _TAGS,
            ),
        ),
        _TAGS,
    )  # fmt: skip


class MetadataRequest_v11(RequestStruct):  # type: ignore[misc]
    """Asks by name, and makes no topic."""

    FLEXIBLE_VERSION = True
    API_KEY = 3
    API_VERSION = 11
    RESPONSE_TYPE = MetadataResponse_v11
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", Uuid), ("name", CompactString("utf-8")), _TAGS)),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        _TAGS,
    )


class TopicIdsRequest(Request[MetadataRequest_v11]):  # type: ignore[misc]
    """aiokafka refuses it where the broker does not know version 11."""

    API_KEY = 3

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics = tuple(topics)

    def build(self, request_struct_class: Any) -> Any:
        """See aiokafka's Request."""
        return request_struct_class([(_NOTHING, topic, {}) for topic in self._topics], False, False, {})


async def topic_ids(consumer: Any, topics: Iterable[str]) -> dict[str, str]:
    """The ids of these topics, as text; {} where the broker is too old, is not there, or aiokafka is another one: that
    is no reason not to read."""
    wanted = sorted(set(topics))
    if not wanted:
        return {}
    try:
        client = consumer._client
        async with asyncio.timeout(ASK_MAX_S):
            answer = await client.send(client.get_random_node(), TopicIdsRequest(wanted))
        told = [(error, name, id_) for error, name, id_, *_ in answer.topics]
    except Exception as error:  # whatever private names have become; a broker that goes away is found out elsewhere
        log.debug("kafka_topic_ids", unknown=f"{type(error).__name__}: {error}")
        return {}
    return {str(name): str(id_) for error, name, id_ in told if error == 0 and id_ != _NOTHING}
