"""What is committed says nothing of the machine it was made on, and what the documents name exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.house.tree import ROOT, files, short

# Split, so that this file does not name what it forbids.
PLACES = [r"/" + r"work/", r"/" + r"root/", r"/home/" + r"[a-z]", r"/tmp/" + r"v/"]
HOSTS = [
    r"files\.python" + r"hosted\.org",
    r"pypi\." + r"org",
    r"repo[0-9]?\.maven\." + r"(apache\.)?org",
    r"repo\.maven\.apache\." + r"org",
    r"registry\.npmjs\." + r"org",
    r"crates\." + r"io\b",
]
DOCUMENTS = [path for path in files() if path.suffix == ".md"]
LINK = re.compile(r"\[[^\]]+\]\(([^)#\s]+)(?:#[^)]*)?\)")
MENTION = re.compile(
    r"`((?:detector|replay|tools|tests|docs|config|deploy|bench|changelog\.d)/[A-Za-z0-9_./-]*[A-Za-z0-9_/])`"
)

# in comments and descriptions, where nothing marks a name: one with an ending is a file's
SOURCES = [path for path in files() if path.suffix in {".py", ".toml", ".json", ".yml"}]
NAMED = re.compile(
    r"(?<![\w./<-])((?:detector|replay|tools|tests|docs|config|deploy|bench)/[\w./-]*\.(?:md|py|toml|json|yml))\b"
)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        return ""  # a recorded or compiled thing, which names nothing that a reader follows


@pytest.mark.parametrize("path", files(), ids=short)
def test_no_file_names_this_machine_or_a_registrys_host(path: Path) -> None:
    text = _text(path)
    found = [pattern for pattern in (*PLACES, *HOSTS) if re.search(pattern, text)]
    assert not found, f"{short(path)} names {found}"


@pytest.mark.parametrize("path", files(), ids=short)
def test_no_file_is_large(path: Path) -> None:
    assert path.stat().st_size < 2 << 20, f"{short(path)}: make it, do not commit it"


def test_nothing_generated_is_committed() -> None:
    listed = subprocess.run(["git", "ls-files", "-ci", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    assert listed.stdout == b"", f"ignored, but committed: {listed.stdout.decode()}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=short)
def test_what_a_document_links_to_exists(path: Path) -> None:
    gone = [to for to in LINK.findall(_text(path)) if "://" not in to and not (path.parent / to).exists()]
    assert not gone, f"{short(path)} links to {gone}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=short)
def test_what_a_document_mentions_exists(path: Path) -> None:
    gone = [name for name in MENTION.findall(_text(path)) if not (ROOT / name).exists()]
    assert not gone, f"{short(path)} mentions {gone}"


@pytest.mark.parametrize("path", SOURCES, ids=short)
def test_a_file_that_a_source_or_a_setting_mentions_exists(path: Path) -> None:
    gone = [name for name in NAMED.findall(_text(path)) if not (ROOT / name).exists()]
    assert not gone, f"{short(path)} mentions {gone}"


def _targets() -> dict[str, str]:
    """Make's targets, each with its lines."""
    targets: dict[str, str] = {}
    name = ""
    for line in (ROOT / "Makefile").read_text("utf-8").splitlines():
        if found := re.match(r"^([a-z][a-z-]*):(?!=)", line):
            name = found[1]
            targets[name] = ""
        elif name and line.startswith("\t"):
            targets[name] += line + "\n"
    return targets


@pytest.mark.parametrize("path", DOCUMENTS, ids=short)
def test_every_make_target_that_a_document_names_is_there(path: Path) -> None:
    named = set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)", _text(path), re.MULTILINE))
    assert named <= set(_targets()), f"{short(path)}: no target {sorted(named - set(_targets()))}"


def test_the_readmes_two_commands_are_there_and_ci_runs_the_second_as_it_is_written() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    commands = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    assert len(commands) >= 1 and commands[0].split("\n")[:2] == ["make quickstart", "make test"]
    assert "make test" in (ROOT / ".ci/run").read_text("utf-8").splitlines()
    assert "pytest" in _targets()["test"]


def test_every_target_says_what_it_does() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    silent = [name for name in _targets() if not re.search(rf"^{name}:.* ## \S", text, re.MULTILINE)]
    assert not silent, f"no help beside {silent}"
    assert set(re.findall(r"^\.PHONY: (\S+)", text, re.MULTILINE)) == set(_targets())


@pytest.mark.parametrize("name", [".ci/run", "tools/setup", "tools/lock", "tools/uv", "tools/python"])
def test_a_script_can_be_run_and_stops_at_its_first_failure(name: str) -> None:
    path = ROOT / name
    assert path.stat().st_mode & 0o111, f"{name} is not executable"
    assert "set -euo pipefail" in path.read_text("utf-8")
