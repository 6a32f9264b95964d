"""A word to systemd (sd_notify), where it listens."""

from __future__ import annotations

import os
import socket

STATE_MAX = 200  # characters


def notify(*words: str) -> bool:
    """One datagram of KEY=VALUE lines to $NOTIFY_SOCKET. False where nobody listens; never raises.

    >>> notify("READY=1")  # not started by systemd
    False
    """
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return False
    address = "\0" + path[1:] if path.startswith("@") else path
    message = "\n".join(word.replace("\n", " ")[:STATE_MAX] for word in words).encode()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as wire:
            wire.setblocking(False)
            wire.sendto(message, address)
    except OSError:
        return False
    return True


def watchdog_s() -> float:
    """How often systemd wants to hear WATCHDOG=1: half of its limit; 0 = it does not."""
    limit = os.environ.get("WATCHDOG_USEC", "")
    ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(limit) / 2_000_000 if limit.isdigit() and ours else 0.0
