"""The lock files agree with pyproject.toml, and every package has its hashes."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.house.tree import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
GROUPS = PROJECT["dependency-groups"]
LOCKS = {
    "requirements.lock": PROJECT["project"]["dependencies"],
    "requirements-dev.lock": [*PROJECT["project"]["dependencies"], *GROUPS["dev"], *GROUPS["build"]],
    "tools/uv.lock": GROUPS["tools"],
    "bench/peers.lock": GROUPS["peers"],
}
ENVIRONMENT = {"python_full_version": "3.11.7", "python_version": "3.11", "sys_platform": "linux", "extra": ""}


def _entries(name: str) -> list[tuple[Requirement, list[str]]]:
    """Each locked requirement with its hashes."""
    text = (ROOT / name).read_text("utf-8").replace("\\\n", " ")
    entries = []
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            requirement, *hashes = re.split(r"\s+--hash=", line.strip())
            entries.append((Requirement(requirement), hashes))
    return entries


def _locked(name: str) -> dict[str, Version]:
    """What is installed on Linux with Python 3.11."""
    found = {}
    for requirement, _ in _entries(name):
        if requirement.marker is None or Marker(str(requirement.marker)).evaluate(ENVIRONMENT):
            (pin,) = requirement.specifier
            found[canonicalize_name(requirement.name)] = Version(pin.version)
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_one_version_and_hashes(name: str) -> None:
    for requirement, hashes in _entries(name):
        assert [pin.operator for pin in requirement.specifier] == ["=="], f"{name}: {requirement} is not exact"
        assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}", h) for h in hashes), f"{name}: {requirement}"


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_what_pyproject_asks_for(name: str) -> None:
    locked = _locked(name)
    for line in LOCKS[name]:
        wanted = Requirement(line)
        version = locked.get(canonicalize_name(wanted.name))
        assert version is not None, f"{name} has no {wanted.name}: make lock"
        assert version in wanted.specifier, f"{name} has {wanted.name} {version}, not {wanted.specifier}: make lock"


def test_what_runs_is_what_was_tested() -> None:
    tested = _locked("requirements-dev.lock")
    for name, version in _locked("requirements.lock").items():
        assert tested[name] == version, f"{name}: {version} would run, {tested[name]} was tested"


def test_the_peers_of_the_benchmark_use_the_same_river_and_are_nowhere_else() -> None:
    tested, peers = _locked("requirements-dev.lock"), _locked("bench/peers.lock")
    assert {name: peers[name] for name in ("numpy", "river")} == {name: tested[name] for name in ("numpy", "river")}
    assert not {"bytewax", "confluent-kafka", "quixstreams"} & {*tested, *_locked("requirements.lock")}


def test_the_build_resolves_nothing() -> None:
    assert PROJECT["build-system"]["requires"] == GROUPS["build"]


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "docs/dependencies.md").read_text("utf-8")
    for line in PROJECT["project"]["dependencies"]:
        name = Requirement(line).name
        assert re.search(rf"^\| {re.escape(name)}\b", text, re.MULTILINE), f"docs/dependencies.md: why {name}?"


def test_the_program_and_the_project_have_one_version() -> None:
    import detector

    assert PROJECT["project"]["version"] == detector.__version__
