"""The configuration: all that is wrong is said at once, with file, key and sentence, and no secret is ever shown."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.wiring.config import BESIDE, ConfigurationError, load, of, secret
from detector.wiring.settings import Settings
from tests.house.tree import files

CANARY = "canary-7f3a"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("FORESHOCK_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "given.toml"
    path.write_text(text, "utf-8")
    return path


def complaints(tree: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        of(tree)
    return {problem.key: problem.sentence for problem in caught.value.problems}


def test_without_a_file_the_defaults_are_right() -> None:
    assert load().settings.kafka.topics == ("market.events",)


def test_everything_wrong_is_said_at_once_with_its_file(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '[kafka]\nbootstrp = "a:1"\n[input]\nformat = "nativ"\nlateness = 5\n[detectors.cancel_brst]\n'
        "[detectors.joint]\ndecay_window = 3\n[destinations.x]\npath = 'p'\n[nope]\n",
    )
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    found = {problem.key: problem for problem in caught.value.problems}
    assert set(found) == {
        "kafka.bootstrp",
        "input.format",
        "input.lateness",
        "detectors.cancel_brst",
        "detectors.joint.decay_window",
        "destinations.x.type",
        "nope",
    }
    assert {problem.where for problem in found.values()} == {str(path)}
    assert found["kafka.bootstrp"].sentence.endswith("did you mean bootstrap?")
    assert found["input.format"].sentence.endswith("did you mean native?")
    assert found["detectors.cancel_brst"].sentence.endswith("did you mean cancel_burst?")
    assert found["detectors.joint.decay_window"].sentence.endswith("did you mean decay_windows?")


def test_the_environment_lies_over_the_file_and_is_named_as_the_origin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, '[kafka]\ntopics = ["a"]\ngroup_id = "g"\n')
    monkeypatch.setenv("FORESHOCK_KAFKA__TOPICS", "b, c")
    monkeypatch.setenv("FORESHOCK_DETECTORS__JOINT__ENABLED", "false")
    config = load(path)
    assert config.settings.kafka.topics == ("b", "c")
    assert config.settings.kafka.group_id == "g"
    assert [d.name for d in config.detectors if not d.enabled] == ["joint"]
    assert config.origins["kafka.topics"] == "FORESHOCK_KAFKA__TOPICS"
    assert config.origins["kafka.group_id"] == str(path)


def test_a_misspelt_variable_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORESHOCK_KAKFA__TOPICS", "a")
    monkeypatch.setenv("FORESHOCK_KAFKA__TOPIC", "a")
    with pytest.raises(ConfigurationError) as caught:
        load()
    assert {p.where for p in caught.value.problems} == {"FORESHOCK_KAKFA__TOPICS", "FORESHOCK_KAFKA__TOPIC"}


@pytest.mark.parametrize(
    "name", ["FORESHOCK_BOGUS", "foreshock_bogus", "FORESHOCK_KAFKA_BOOTSTRAP", "FORESHOCK_", "FORESHOCK___"]
)
def test_nor_is_one_without_a_section(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "127.0.0.1:9092")
    with pytest.raises(ConfigurationError, match=f"{name}: .*no such key"):
        load()


def test_what_kubernetes_says_of_a_service_of_our_name_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_9464_TCP", "PORT_9464_TCP_ADDR"):
        monkeypatch.setenv(f"FORESHOCK_{name}", "tcp://10.0.0.1:9464")
    load()


def test_every_variable_that_the_project_reads_is_a_key_or_known_beside_the_keys() -> None:
    named = re.compile(r"\bFORESHOCK_[A-Z][A-Z0-9_]*[A-Z0-9]\b")
    sources = [path for path in files() if path.suffix in {".py", ".yml", ".service", ""} and path != Path(__file__)]
    read = {name for path in sources for name in named.findall(path.read_bytes().decode("utf-8", "ignore"))}
    sections = {name.removeprefix("FORESHOCK_").partition("__")[0].lower() for name in read - set(BESIDE)}
    assert sections - {"section", "kakfa"} <= set(Settings.model_fields)  # an example, and a test's slip


def test_the_variable_for_the_file_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORESHOCK_CONFIG", str(written(tmp_path, '[incidents]\nvenue = "v"\n')))
    assert load().settings.incidents.venue == "v"


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[kafka", b"kafka = 1"])
def test_a_file_that_is_none_is_refused_with_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "given.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"given\.toml"):
        load(path)


def test_a_file_that_is_not_there_is_said() -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(Path("absent.toml"))


def test_no_error_shows_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(
        tmp_path,
        f'[kafka.sasl]\nmechanism = "{CANARY}"\npassword = ["{CANARY}"]\n[http]\ntoken = 5\nbind = "{CANARY}"\n'
        f'[destinations.a]\ntype = "webhook"\nurl = "http://{CANARY}"\nsecret = "{CANARY}"\n'
        f'[destinations.b]\ntype = "{CANARY}"\n[detectors.joint]\ndecay_windows = "{CANARY}"\n',
    )
    monkeypatch.setenv("FORESHOCK_KAFKA__BATCH_MAX", CANARY)
    monkeypatch.setenv("FORESHOCK_LOG", CANARY)
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    assert CANARY not in str(caught.value)
    assert CANARY not in repr(caught.value)


def test_a_configuration_printed_shows_no_secret() -> None:
    config = of({"destinations": {"a": {"type": "webhook", "url": f"https://x.example/{CANARY}", "secret": CANARY}}})
    assert CANARY not in repr(config)


@pytest.mark.parametrize(
    ("tree", "key", "word"),
    [
        ({"http": {"bind": "0.0.0.0:9464"}}, "http", "token_file"),
        ({"http": {"token": "a", "token_file": "b"}}, "http", "not both"),
        ({"kafka": {"heartbeat_interval": "10s"}}, "kafka", "third of session_timeout"),
        ({"kafka": {"sasl": {"mechanism": "PLAIN", "username": "u", "password": "p"}}}, "kafka", "tls.enabled"),
        ({"kafka": {"tls": {"cert_file": "c"}}}, "kafka.tls", "belong together"),
        ({"kafka": {"start_at": "yesterday"}}, "kafka.start_at", "earliest"),
        ({"kafka": {"start_at": "2026-11-22T10:00:00"}}, "kafka.start_at", "zone"),
        ({"budget": {"critical": 9.0}}, "budget", "critical <= warning <= info"),
        ({"destinations": {"a": {"type": "webhook", "url": "http://x", "secret": "s"}}}, "destinations.a", "https"),
        ({"destinations": {"a": {"type": "webhook", "url": "https://x"}}}, "destinations.a", "secret_file"),
        ({"destinations": {"a": {"type": "pigeon"}}}, "destinations.a.type", "stdout"),
    ],
)
def test_what_relates_two_settings_is_said_in_a_sentence(tree: dict[str, Any], key: str, word: str) -> None:
    found = complaints(tree)
    assert word in found[key]


def test_the_revision_changes_with_what_is_found_and_with_nothing_else() -> None:
    plain = of({}).config_rev
    assert (
        of({"log": {"level": "debug"}, "http": {"bind": "127.0.0.1:1"}, "kafka": {"topics": ["x"]}}).config_rev == plain
    )
    assert of({"limits": {"staged_events_max": 10_000}}).config_rev == plain
    others = [
        of({"input": {"lateness": "1s"}}),
        of({"input": {"early": "0s"}}),
        of({"budget": {"warning": 2.0}}),
        of({"incidents": {"venue": "other"}}),
        of({"detectors": {"joint": {"enabled": False}}}),
        of({"detectors": {"joint": {"decay_windows": 61}}}),
    ]
    revisions = {plain, *(other.config_rev for other in others)}
    assert len(revisions) == 1 + len(others)


def test_a_secret_file_that_everybody_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{CANARY}\n")
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    assert secret(None, path) == CANARY
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod"):
        secret(None, path)


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff", b"x" * 70_000])
def test_a_secret_file_without_a_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="no secret"):
        secret(None, path)


_leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates()
_names = st.sampled_from(
    ["kafka", "input", "http", "detectors", "destinations", "joint", "type", "tls", "x", "bind", "budget"]
)
_trees = st.recursive(
    _leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=4), max_leaves=12
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(_names, _trees, max_size=5))
def test_whatever_a_file_holds_it_is_right_or_refused_in_sentences(tree: dict[str, Any]) -> None:
    try:
        of(tree)
    except ConfigurationError as error:
        assert error.problems and all(problem.sentence for problem in error.problems)


def test_a_look_every_few_milliseconds_is_refused_with_its_price() -> None:
    with pytest.raises(ConfigurationError, match="at least 10ms"):
        of({"input": {"early": "5ms"}})
    assert of({"input": {"early": "0s"}}).settings.input.early.ns == 0
