"""Units in strings: "250ms", "5s", "10m"; "8MiB". In the program they are integers of the smallest unit."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema


class _Quantity(int):
    """An integer that is written with its unit. UNITS from the largest to the smallest, each a multiple of the next."""

    UNITS: ClassVar[dict[str, int]]
    EXAMPLE: ClassVar[str]
    MAX: ClassVar[int] = 2**62

    @classmethod
    def of(cls, text: str) -> Self:
        """From its text. Raises ValueError with a sentence."""
        pattern = rf"([0-9]{{1,19}})(?:\.([0-9]{{1,9}}))?({'|'.join(cls.UNITS)})"
        found = re.fullmatch(pattern, text.strip())
        if found is None:
            raise ValueError(f"write a number and a unit, like {cls.EXAMPLE}; units: {', '.join(reversed(cls.UNITS))}")
        whole, part, unit = found.groups(default="")
        number, rest = divmod(int(whole + part) * cls.UNITS[unit], 10 ** len(part))
        if rest:
            raise ValueError(f"finer than the smallest unit, {list(cls.UNITS)[-1]}")
        if number > cls.MAX:
            raise ValueError("too large")
        return cls(number)

    def __str__(self) -> str:
        for unit, size in self.UNITS.items():
            if self and self % size == 0:
                return f"{int(self) // size}{unit}"
        return f"0{'s' if 's' in self.UNITS else list(self.UNITS)[-1]}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}.of({str(self)!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: object) -> _Quantity:
            if isinstance(value, cls):
                return value
            if not isinstance(value, str):
                raise ValueError(f"write it as text with a unit, like {cls.EXAMPLE}")
            return cls.of(value)

        return core_schema.no_info_plain_validator_function(
            read, serialization=core_schema.to_string_ser_schema(when_used="always")
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": rf"^[0-9]+(\.[0-9]+)?({'|'.join(cls.UNITS)})$", "examples": [cls.EXAMPLE]}


class Duration(_Quantity):
    """A length of time; as a number: nanoseconds.

    >>> Duration.of("250ms") + 0, str(Duration.of("90s")), Duration.of("1.5s").s
    (250000000, '90s', 1.5)
    """

    UNITS: ClassVar[dict[str, int]] = {
        "d": 86_400_000_000_000,
        "h": 3_600_000_000_000,
        "m": 60_000_000_000,
        "s": 1_000_000_000,
        "ms": 1_000_000,
        "us": 1_000,
        "ns": 1,
    }
    EXAMPLE = '"250ms", "5s" or "10m"'

    @property
    def ns(self) -> int:
        """In nanoseconds."""
        return int(self)

    @property
    def s(self) -> float:
        """In seconds."""
        return int(self) / 1e9

    @property
    def ms(self) -> int:
        """In whole milliseconds, rounded up: what Kafka's settings take."""
        return -(-int(self) // 1_000_000)


class Size(_Quantity):
    """A number of bytes.

    >>> Size.of("8MiB") + 0, str(Size.of("65536B"))
    (8388608, '64KiB')
    """

    UNITS: ClassVar[dict[str, int]] = {"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}
    EXAMPLE = '"64KiB" or "8MiB"'
