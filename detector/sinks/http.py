"""What every sink that speaks HTTP stands on: where it may connect, what an answer means, how long it is waited for."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractCookieJar

from detector import __version__
from detector.sinks.base import Delivery, Outcome, Parcel, Sink

TIMEOUT_S = 10.0  # name, connection, request and answer together
ANSWER_BYTES_MAX = 4096  # of an answer that are read
CONNECTIONS_MAX = 4
RETRY_AFTER_MAX_S = 60.0  # one attempt a minute is no burden to whoever asks for an hour, and who is paged waits for it
# of the letter: trying it again gives the same answer. All others, as of a key that is being changed or of an address
# that is being moved, are of the destination.
REFUSED_STATUS = frozenset({400, 406, 411, 412, 413, 414, 415, 416, 417, 422, 431})
GONE = "gone"  # the receiver wants nothing any more: delivery stops asking
FAILURES = (TimeoutError, aiohttp.ClientError, OSError, ValueError)  # what an attempt ends in without an answer
NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AddressRefused(OSError):
    """The name leads to an address this destination may not talk to."""


class Guard:
    """Decides at connect time, on the address itself, so that no name, redirect or rebinding can lead inside."""

    def __init__(self, allow_cidrs: Sequence[str] = ()) -> None:
        """ValueError with a sentence when one is no network."""
        self.allowed: tuple[Network, ...] = tuple(_network(text) for text in allow_cidrs)

    def allows(self, text: str) -> bool:
        """Public addresses, and those inside an allowed network.

        >>> Guard().allows("::ffff:169.254.169.254"), Guard(["127.0.0.0/8"]).allows("127.0.0.1")
        (False, True)
        """
        address = ipaddress.ip_address(text.partition("%")[0])  # without the scope of a link-local one
        if any(address in network for network in self.allowed if network.version == address.version):
            return True
        inner = _inner(address)
        return self.allows(str(inner)) if inner is not None else address.is_global and not address.is_multicast

    def open_socket(self, info: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
        """aiohttp's socket_factory: the last door before a connection. AddressRefused when it may not be made."""
        family, kind, protocol, _, place = info
        if not self.allows(str(place[0])):
            raise AddressRefused(f"{place[0]} is not a public address and not in allow_cidrs")
        return socket.socket(family, kind, protocol)


class HttpSink(Sink):
    """A destination that is POSTed to. A subclass says what; this says where, how long, and what the answer means.

    `url` may hold a secret (Slack's does): nothing here shows more of it than scheme and host.
    """

    def __init__(
        self,
        name: str,
        *,
        url: str,
        allow_http: bool = False,
        allow_cidrs: Sequence[str] = (),
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """ValueError with a sentence when the URL or a network cannot be used."""
        super().__init__(name)
        self._guard = Guard(allow_cidrs)
        self._url = url
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self.where = _checked(url, allow_http, self._guard)

    @abstractmethod
    def request(self, parcel: Parcel) -> tuple[Mapping[str, str], bytes]:
        """Headers and body of one attempt."""

    def judge(self, status: int, headers: Mapping[str, str]) -> Outcome:
        """What an answer means. A service whose answers mean something else says so in its sink."""
        return judged(status, headers.get("Retry-After", ""), time.time())

    async def start(self) -> None:
        connector = aiohttp.TCPConnector(
            limit=CONNECTIONS_MAX,
            use_dns_cache=False,
            socket_factory=self._guard.open_socket,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            cookie_jar=_no_cookies(),
            auto_decompress=False,
            trust_env=False,
            headers={"User-Agent": f"foreshock/{__version__}", "Accept-Encoding": "identity"},
        )

    async def send(self, parcel: Parcel) -> Outcome:
        assert self._session is not None, "start comes before send"
        headers, body = self.request(parcel)
        try:
            async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as answer:
                outcome = self.judge(answer.status, answer.headers)
                await _drained(answer)
                return outcome
        except FAILURES as error:
            return Outcome(Delivery.RETRY, self._failed(error))

    async def reach(self) -> str:
        assert self._session is not None, "start comes before reach"
        # at the host's root and not at the path: that may be a secret, and what stands there may act on whatever comes
        root = "{0.scheme}://{0.netloc}/".format(urlsplit(self._url))
        try:
            async with self._session.head(root, allow_redirects=False):
                return ""  # whatever the status: a receiver need not know HEAD
        except FAILURES as error:
            return self._failed(error)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _failed(self, error: Exception) -> str:
        return f"no answer within {self._timeout_s:g} s" if isinstance(error, TimeoutError) else _why(error)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.where})"


def judged(status: int, retry_after: str, now_s: float) -> Outcome:
    """What an answer means for the next attempt.

    >>> judged(204, "", 0.0).delivery, judged(429, "7", 0.0).retry_after_s, judged(410, "", 0.0).why
    (<Delivery.DELIVERED: 'delivered'>, 7.0, 'gone')
    """
    if 200 <= status < 300:
        return Outcome(Delivery.DELIVERED, f"{status}")
    if status == 410:
        return Outcome(Delivery.REJECTED, GONE)
    if status in REFUSED_STATUS:
        return Outcome(Delivery.REJECTED, f"answered {status}")
    if 300 <= status < 400:
        # not followed, and worth trying again: a redirect is mostly somebody's maintenance page
        return Outcome(Delivery.RETRY, f"answered {status}, a redirect, which is not followed")
    return Outcome(Delivery.RETRY, f"answered {status}", _retry_after_s(retry_after, now_s))


def _retry_after_s(text: str, now_s: float) -> float | None:
    """Seconds or an HTTP date, at most RETRY_AFTER_MAX_S; None where it is neither."""
    text = text.strip()[:64]
    if text.isascii() and text.isdigit():
        return min(float(text), RETRY_AFTER_MAX_S)
    try:
        wait_s = parsedate_to_datetime(text).timestamp() - now_s
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait_s, 0.0), RETRY_AFTER_MAX_S)


async def _drained(answer: aiohttp.ClientResponse) -> None:
    """A short body is read so that the connection can be used again; any other is cut off. The status has spoken."""
    try:
        if answer.content_length is not None and answer.content_length <= ANSWER_BYTES_MAX:
            await answer.content.readexactly(answer.content_length)
            return
    except (aiohttp.ClientError, OSError, ValueError, asyncio.IncompleteReadError):
        pass
    answer.close()


def _why(error: Exception) -> str:
    """The error in words that hold no URL: aiohttp's own messages may quote it."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, AddressRefused):
        return str(cause)
    if isinstance(cause, ExceptionGroup):
        cause = next((one for one in cause.exceptions if isinstance(one, AddressRefused)), cause)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError) and cause.reason:
        return f"no TLS can be agreed on with it: {cause.reason.replace('_', ' ').lower()}"
    if isinstance(cause, OSError) and cause.strerror:
        return f"{type(error).__name__}: {cause.strerror}"
    return type(error).__name__


def _checked(url: str, allow_http: bool, guard: Guard) -> str:
    """scheme://host of a URL that can be used. Its other parts are in no message."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")  # as whoever looks it up will
    except ValueError:
        raise ValueError("the URL of a destination is not readable") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("the URL of a destination begins with https:// and a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            "a user or password inside the URL of a destination would end in logs; use a header or a secret"
        )
    if parts.scheme == "http" and not allow_http and not _allowed_loopback(host, guard):
        raise ValueError(f"http://{host} sends alerts in the clear: use https, or say allow_http = true")
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


def _allowed_loopback(host: str, guard: Guard) -> bool:
    text = "127.0.0.1" if host == "localhost" else host
    try:
        return ipaddress.ip_address(text).is_loopback and guard.allows(text)
    except ValueError:
        return False


def _inner(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one only wraps."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(f"allow_cidrs holds {text!r}, which is no network like 10.0.0.0/8") from None


def _no_cookies() -> AbstractCookieJar:
    return aiohttp.DummyCookieJar()
