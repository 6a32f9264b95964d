"""foreshock check --online: what cannot work is said, in the words that an alert would fail with, and nothing is sent."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from detector.cli import check
from detector.cli.base import Exit
from detector.sources import kafka_reach
from tests.cli.calling import Answer, Foreshock

CERTIFICATE = Path(__file__).parents[1] / "sinks" / "self_signed.pem"
SECRET = "whsec_" + "c2VjcmV0" * 4
HERE = 'allow_cidrs = ["127.0.0.0/8"]'


class Web(BaseHTTPRequestHandler):
    """Answers whatever it is asked, and notes it in its server's `asked`."""

    def do_HEAD(self) -> None:
        self.server.asked.append(f"HEAD {self.path}")  # type: ignore[attr-defined]
        self.send_response(404)
        self.end_headers()

    def do_POST(self) -> None:
        self.server.asked.append(f"POST {self.path}")  # type: ignore[attr-defined]
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def web(*, tls: bool = False) -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        server.asked = []  # type: ignore[attr-defined]
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def no_broker_is_waited_for(foreshock: Foreshock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORESHOCK_KAFKA__BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setattr(kafka_reach, "REACH_S", 0.5)


def written(url: str, *lines: str) -> None:
    table = ["[destinations.pager]", 'type = "webhook"', f'url = "{url}"', f'secret = "{SECRET}"', *lines]
    Path("own.toml").write_text("\n".join(table) + "\n")


def checked(foreshock: Foreshock) -> tuple[Answer, str]:
    """The answer, and what it says of the destination."""
    answer = foreshock("check", "--online", "--config", "own.toml")
    said = [line for line in answer.err.splitlines() if line.startswith("destinations.pager: ")]
    return answer, "".join(said).removeprefix("destinations.pager: ")


@pytest.mark.parametrize(
    ("scheme", "tls", "lines", "word"),
    [
        ("https", True, (HERE,), "its certificate is not trusted: self-signed certificate"),
        ("https", False, (HERE,), "no TLS can be agreed on with it: wrong version number"),
        ("http", True, (HERE, "allow_http = true"), "ServerDisconnectedError|ClientOSError: .*"),
        ("https", True, (), "127.0.0.1 is not a public address and not in allow_cidrs"),
    ],
)
def test_a_destination_that_cannot_work_is_said_in_the_words_of_a_test(
    foreshock: Foreshock, scheme: str, tls: bool, lines: tuple[str, ...], word: str
) -> None:
    with web(tls=tls) as server:
        written(f"{scheme}://127.0.0.1:{server.server_port}/hook/canary", *lines)
        answer, said = checked(foreshock)
        assert answer.code == Exit.UNREACHABLE and re.fullmatch(word, said)
        tried = foreshock("webhook", "test", "pager", "--config", "own.toml")
        assert tried.code == Exit.UNREACHABLE and re.search(word, tried.out)


def test_a_destination_that_answers_is_right_whatever_it_answers_and_is_sent_nothing(foreshock: Foreshock) -> None:
    with web() as server:
        written(f"http://127.0.0.1:{server.server_port}/hook/canary", HERE, "allow_http = true")
        _, said = checked(foreshock)
        assert said == ""
        assert server.asked == ["HEAD /"]  # type: ignore[attr-defined]  # the path, which may be a secret, is not asked for


def test_a_name_that_is_trusted_by_the_environments_certificates_is_right(
    foreshock: Foreshock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A private CA, and no proxy of the environment: both in a process of its own, as both are read at its start."""
    with web(tls=True) as server:
        written(f"https://localhost:{server.server_port}/", 'allow_cidrs = ["127.0.0.0/8", "::1/128"]')
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
        program = "from detector.cli import main; main()"
        arguments = [sys.executable, "-c", program, "webhook", "test", "pager", "--config", "own.toml"]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == Exit.DONE, done.stdout + done.stderr
    assert server.asked == ["POST /", "POST /"]  # type: ignore[attr-defined]


def silent(server: socket.socket) -> None:
    """Takes the connection, and that is all."""


def talks_http(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(1024)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def answers_another(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(1024)
        connection.sendall(b"\0\0\0\x04oops")


def answers_too_little(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(1024)
        connection.sendall(b"\0\0\0\x05\0\0\0\x01\0")


def hangs_up(server: socket.socket) -> None:
    server.accept()[0].close()


@pytest.mark.parametrize(
    ("behaviour", "word"),
    [
        (silent, "no answer of a Kafka broker within 0.5 s"),
        (talks_http, "something answers there, but not in Kafka's words"),
        (answers_another, "something answers there, but not in Kafka's words"),
        (answers_too_little, "something answers there, but not in Kafka's words"),
        (hangs_up, "it hangs up: it is no Kafka broker, or kafka.tls is not as it has it"),
    ],
)
def test_what_is_no_broker_is_said_and_soon(
    foreshock: Foreshock, monkeypatch: pytest.MonkeyPatch, behaviour: Callable[[socket.socket], None], word: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        thread = threading.Thread(target=behaviour, args=(server,))
        thread.start()
        monkeypatch.setenv("FORESHOCK_KAFKA__BOOTSTRAP", place)
        began_s = time.monotonic()
        answer = foreshock("check", "--online")
        thread.join()
    assert answer.code == Exit.UNREACHABLE and answer.err == f"kafka.bootstrap {place}: {word}\n"
    assert time.monotonic() - began_s < 5.0


def test_each_broker_that_is_not_there_is_named(foreshock: Foreshock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORESHOCK_KAFKA__BOOTSTRAP", "127.0.0.1:1,[::1]:1")
    answer = foreshock("check", "--online", "--json")
    assert answer.code == Exit.UNREACHABLE
    assert "kafka.bootstrap 127.0.0.1:1: cannot connect: " in answer.out and "kafka.bootstrap [::1]:1: " in answer.out


def test_a_broker_with_a_certificate_nobody_knows_is_said(
    foreshock: Foreshock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with web(tls=True) as server:
        monkeypatch.setenv("FORESHOCK_KAFKA__BOOTSTRAP", f"127.0.0.1:{server.server_port}")
        monkeypatch.setenv("FORESHOCK_KAFKA__TLS__ENABLED", "true")
        answer = foreshock("check", "--online")
    assert "its certificate is not trusted: self-signed certificate" in answer.err


def test_a_destination_that_says_nothing_is_not_waited_for(
    foreshock: Foreshock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "REACH_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        written(f"http://127.0.0.1:{server.getsockname()[1]}/", HERE, "allow_http = true")
        assert checked(foreshock)[1] == "no answer within 0.3 s"
