"""Section: what every table of the configuration is, and the kinds of values that several of them hold."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_settings import NoDecode

SeverityName: TypeAlias = Literal["info", "warning", "critical"]


def listed(value: object) -> object:
    """A list, or its text with commas, as an environment variable has it."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


PORT_MAX = 65_535


def parted(place: str) -> tuple[str, int]:
    """Host (without brackets) and port of a host:port.

    >>> parted("[::1]:9464")
    ('::1', 9464)
    """
    host, _, port = place.rpartition(":")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can mean it: a name may lead anywhere, however it begins.

    >>> is_loopback("127.0.0.2"), is_loopback("127.evil.example")
    (True, False)
    """
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _place(place: str) -> str:
    host, port = parted(place)
    if port > PORT_MAX:
        raise ValueError(f"a port is at most {PORT_MAX}")
    try:
        if place.startswith("["):
            ip_address(host)
        else:
            host.encode("idna")
    except ValueError:
        raise ValueError("the host is no address, and no name of parts of 1 to 63 letters") from None
    return place


def _broker(place: str) -> str:
    if parted(place)[1] == 0:
        raise ValueError("nobody listens on port 0")
    return place


HostPort = Annotated[
    str,
    StringConstraints(pattern=r"^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$"),
    AfterValidator(_place),
]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,248}$")]
Link = Annotated[str, StringConstraints(pattern=r"^(https?://[^\s{}]+(\{incident_id\}[^\s{}]*)?)?$", max_length=1000)]
HostPorts = Annotated[
    tuple[Annotated[HostPort, AfterValidator(_broker)], ...], NoDecode, BeforeValidator(listed), Field(min_length=1)
]
Names = Annotated[tuple[Name, ...], NoDecode, BeforeValidator(listed), Field(min_length=1)]
Cidrs = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(listed)]


class Section(BaseModel):
    """A table of the file. Unknown keys are errors; errors never show what was written, it may be a secret."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True)


def one_of(section: Section, key: str) -> Section:
    """A secret stands in the file itself or in a file of its own, not in both."""
    if getattr(section, key) is not None and getattr(section, f"{key}_file") is not None:
        raise ValueError(f"give {key} or {key}_file, not both")
    return section
