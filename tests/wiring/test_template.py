"""What is published about the configuration is what the program reads: config/, the schema, the descriptions."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel

from detector.wiring import plugins
from detector.wiring.config import detector_models, load, of
from detector.wiring.settings import Settings
from detector.wiring.template import effective, schema, template
from tests.house.tree import ROOT

FILE = ROOT / "config/foreshock.toml"
SCHEMA = ROOT / "config/schema/foreshock.schema.json"


def leaves(tree: dict[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= leaves(value, f"{before}{name}.") if isinstance(value, dict) and value else {f"{before}{name}": value}
    return found


def test_the_published_file_is_current() -> None:
    assert FILE.read_text("utf-8") == template(), "make config"


def test_the_published_schema_is_current() -> None:
    assert json.loads(SCHEMA.read_text("utf-8")) == schema(), "make config"


def test_every_key_of_the_program_is_in_the_file_with_its_default_and_the_other_way_round() -> None:
    written = leaves(tomllib.loads(FILE.read_text("utf-8")))
    assert written.pop("privacy") == {}, "its only key has no default"
    known = {
        key: value for key, value in leaves(effective(of({}))).items() if value is not None and key != "destinations"
    }
    assert written == known


def test_a_key_without_a_default_stands_there_as_a_comment() -> None:
    text = FILE.read_text("utf-8")
    unset = [key.rpartition(".")[2] for key, value in leaves(effective(of({}))).items() if value is None]
    assert unset and all(f"\n# {key} = " in text for key in unset)


@pytest.mark.parametrize("name", ["foreshock.toml", "dev.toml"])
def test_the_shipped_files_are_right(name: str) -> None:
    tree = tomllib.loads((ROOT / "config" / name).read_text("utf-8"))
    jsonschema.Draft202012Validator(schema()).validate(tree)
    load(ROOT / "config" / name)


def test_the_examples_in_the_file_are_right_when_they_are_uncommented() -> None:
    lines = FILE.read_text("utf-8").splitlines()
    begin = lines.index("# [destinations.pager]")
    end = next(i for i in range(begin, len(lines)) if not lines[i].startswith("#"))
    tree = tomllib.loads("\n".join(line.removeprefix("#").strip() for line in lines[begin:end]))
    assert set(of(tree).settings.destinations) == {
        "pager", "oncall", "chat", "alertmanager", "archive", "terminal",
    }  # fmt: skip


def models(model: type[BaseModel]) -> list[type[BaseModel]]:
    below = [field.annotation for field in model.model_fields.values()]
    inside = [kind for kind in below if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return [model, *(found for kind in inside for found in models(kind))]


@pytest.mark.parametrize("model", [*models(Settings), *detector_models().values()], ids=lambda model: model.__name__)
def test_every_key_says_what_it_is_for(model: type[BaseModel]) -> None:
    assert model.__doc__
    for key, field in model.model_fields.items():
        kind = field.annotation
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            assert len(field.description or "") > 8, f"{model.__name__}.{key}"


def test_the_schema_refuses_what_the_program_refuses() -> None:
    validator = jsonschema.Draft202012Validator(schema())
    for tree in (
        {"kafka": {"x": 1}},
        {"input": {"lateness": 5}},
        {"detectors": {"no_such": {}}},
        {"destinations": {"a": {}}},
    ):
        assert not validator.is_valid(tree), tree


def test_plug_ins_are_found_by_their_files() -> None:
    assert {"cancel_burst", "leverage_spike", "thin_book", "joint"} <= set(plugins.names("anomaly"))
    assert "native" in plugins.names("formats")
    assert "base" not in plugins.names("formats")


SHARED = "class Sums(Detector): ..."


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("depth_flip", "class DepthFlips(Detector): ..."),
        ("depth_flip", "class Depthflip(base.Detector): ..."),
        ("depth_flip", "class Flip(Sums): ..."),
        ("vpin", "class VPIN(Sums): ..."),
    ],
)
def test_a_plug_in_whose_class_is_not_named_after_its_file_is_no_silence(name: str, text: str) -> None:
    with pytest.raises(
        AssertionError, match=rf"detector/anomaly/{name}\.py must hold class {plugins.class_name(name)}"
    ):
        plugins.among("anomaly", {"shared": SHARED, name: text, "other": "class Other(Sums): ..."})


def test_what_helps_plug_ins_may_be_called_anything() -> None:
    helpers = {"shared": SHARED, "words": "class Word(StrEnum): ...", "base": "class Detector(ABC): ..."}
    assert plugins.among("anomaly", {**helpers, "flip": "class Flip(Sums): ...\nclass _Row(NamedTuple): ..."}) == (
        "flip",
    )
