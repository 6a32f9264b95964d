"""tools/kafka.py: what it refuses, whom it never ends, and that nothing stays behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools import kafka_broker, kafka_jars
from tools.kafka import BOOTSTRAP_VARIABLE, Broker, KafkaError

TOOL = Path(__file__).resolve().parents[2] / "tools" / "kafka.py"


@pytest.fixture
def run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (kafka_jars, kafka_broker):
        monkeypatch.setattr(module, "RUN", tmp_path)
    return tmp_path


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts a program of ours first on the PATH."""
    monkeypatch.delenv("JAVA_HOME", raising=False)

    def put(name: str, script: str, *, alone: bool = False) -> None:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(folder) if alone else f"{folder}:{os.environ['PATH']}")

    return put


def test_a_jar_that_is_not_the_one_written_down_is_not_run(run_directory: Path, program, capsys) -> None:
    program(
        "mvn",
        'for word; do case "$word" in -DoutputDirectory=*) mkdir -p "${word#*=}"; echo evil > "${word#*=}/kafka_2.13-4.3.0.jar";; esac; done',
    )
    with pytest.raises(KafkaError, match=r"not the ones of jars\.sha256.*is missing"):
        kafka_jars.resolve()
    assert not (run_directory / "lib").exists() and not (run_directory / "lib.new").exists()


def test_every_way_a_directory_can_differ_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_jars, "RECIPE", tmp_path)
    (tmp_path / "jars.sha256").write_text("aa  one.jar\nbb  two.jar\n")
    library = tmp_path / "lib"
    library.mkdir()
    (library / "two.jar").write_bytes(b"")
    (library / "three.jar").write_bytes(b"")
    assert kafka_jars.differences(library) == [
        "one.jar is missing",
        "three.jar is not in jars.sha256",
        "two.jar has another SHA-256",
    ]


def test_a_maven_that_fails_says_why(run_directory: Path, program) -> None:
    program("mvn", "echo 'no route to anywhere'; exit 1")
    with pytest.raises(KafkaError, match="no route to anywhere"):
        kafka_jars.resolve()


def test_what_is_missing_is_named(run_directory: Path, program) -> None:
    program("nothing", "", alone=True)
    with pytest.raises(KafkaError, match="no java"):
        kafka_jars.find_java()
    with pytest.raises(KafkaError, match="no mvn"):
        kafka_jars.resolve()


@pytest.mark.parametrize(
    ("said", "fits"), [("1.8.0_402", False), ("11.0.2", False), ("17.0.15", True), ("25-ea", True)]
)
def test_an_old_java_is_refused(program, said: str, fits: bool) -> None:
    program("java", f"echo 'openjdk version \"{said}\"' >&2")
    if fits:
        assert kafka_jars.find_java().endswith("/java")
    else:
        with pytest.raises(KafkaError, match="needs 17"):
            kafka_jars.find_java()


def test_a_broker_that_dies_at_its_start_shows_its_log(run_directory: Path, program, monkeypatch) -> None:
    program(
        "java",
        'case "$*" in *-version*) echo \'version "17"\' >&2;; *StorageTool*) ;; *) echo "the disk is made of cheese"; exit 3;; esac',
    )
    monkeypatch.setattr(kafka_broker, "resolve", lambda say: run_directory)
    broker = Broker("cheese")
    with pytest.raises(KafkaError, match=r"exit code 3:\n.*made of cheese"):
        broker.start()
    assert not broker.directory.exists()
    assert "cheese" in (run_directory / "failed.log").read_text()


def test_a_pid_that_is_somebody_elses_by_now_is_left_alone(run_directory: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        try:
            broker = Broker("old")
            broker.directory.mkdir(parents=True)
            record = {"pid": stranger.pid, "owner": None, "port": 1, "controller_port": 2}
            (broker.directory / "broker.json").write_text(json.dumps(record))
            assert not broker.running
            broker.stop()
            assert stranger.poll() is None
            assert not broker.directory.exists()
        finally:
            stranger.kill()


def test_brokers_whose_owner_is_gone_are_swept(run_directory: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    for name, owner in (("orphan", gone.pid), ("ours", os.getpid()), ("detached", None)):
        directory = run_directory / "brokers" / name
        directory.mkdir(parents=True)
        (directory / "broker.json").write_text(
            json.dumps({"pid": gone.pid, "owner": owner, "port": 1, "controller_port": 2})
        )
    kafka_broker.sweep(lambda line: None)
    assert sorted(broker.name for broker in kafka_broker.brokers()) == ["detached", "ours"]


@pytest.mark.parametrize("name", ["", "../up", ".hidden", "a b", "x" * 65])
def test_a_name_that_is_no_directory_is_refused(name: str) -> None:
    if name:
        with pytest.raises(KafkaError, match="name"):
            Broker(name)


def test_usage_and_status_have_their_exit_codes() -> None:
    def code(*words: str) -> int:
        return subprocess.run([sys.executable, TOOL, *words], capture_output=True).returncode

    assert code("run") == 2
    assert code("start", "--set", "novalue") == 2
    assert code("nonsense") == 2


@pytest.mark.slow
def test_run_gives_the_command_a_broker_and_stops_it_on_a_signal() -> None:
    if not (shutil.which("java") and shutil.which("mvn")):
        pytest.skip("no Java or no Maven here")
    script = f"import os,time; print(os.environ['{BOOTSTRAP_VARIABLE}'], flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, TOOL, "run", "--", sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    ) as tool:
        assert tool.stdout is not None
        host, _, port = tool.stdout.readline().strip().partition(":")
        assert host == "127.0.0.1" and kafka_broker.serves(host, int(port))
        tool.send_signal(signal.SIGTERM)
        assert tool.wait(40) == 128 + signal.SIGTERM
    deadline = time.monotonic() + 10
    while kafka_broker.serves(host, int(port)):
        assert time.monotonic() < deadline
