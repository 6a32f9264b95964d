"""The configuration written out: config/foreshock.toml with every key, and the JSON Schema that editors read."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from detector.wiring.config import Configuration, detector_models
from detector.wiring.settings import Settings
from detector.wiring.units import Duration, Size

WIDTH = 112
SHOWN = "(set, not shown)"

HEAD = """\
# foreshock's configuration: every key, with its default. A file needs only what differs from it.
# Durations and sizes are texts with a unit: "250ms", "5s", "10m", "7d"; "64KiB", "8MiB".
# Any key can come from the environment instead: FORESHOCK_KAFKA__BOOTSTRAP=broker-1:9092,broker-2:9092
# A secret can stand in a file of its own: password_file, secret_file, token_file; nobody else may read that file.
# `foreshock check` says whether a file is right; with --online also whether what it names can be reached.
"""

EXAMPLES = """\
# Who is told: a table for each, under a name of your own. Without any, alerts are in the state file alone
# (`foreshock incident ls`). How a receiver of a webhook is written: docs/webhooks.md.
#
# [destinations.pager]
# type = "webhook"                            # Standard Webhooks: signed, so that the receiver knows it was us
# url = "https://pager.example.com/foreshock"
# secret_file = "/run/secrets/pager"          # whsec_ and base64; a second line is a key that is being retired
# min_severity = "critical"                   # info, warning or critical: alerts below are not sent here
# allow_http = false                          # true: http:// is allowed, for a receiver on this machine
# allow_cidrs = []                            # private networks it may connect to; else public addresses only
#
# [destinations.oncall]
# type = "pagerduty"                          # Events API v2; what is sent for what: docs/destinations.md
# routing_key_file = "/run/secrets/pagerduty" # 32 letters and digits, the integration's
# url = "https://events.pagerduty.com/v2/enqueue"  # of an account in the EU: https://events.eu.pagerduty.com/v2/enqueue
# min_severity = "warning"
#
# [destinations.chat]
# type = "slack"                              # an incoming webhook
# url_file = "/run/secrets/slack"             # its address: whoever knows it may post there
# updates = false                             # true: a message for each update that changes no severity, too
#
# [destinations.alertmanager]
# type = "alertmanager"                       # API v2
# url = "https://alertmanager.example.com"    # /api/v2/alerts is added
# token_file = "/run/secrets/alertmanager"    # a bearer token, where something before it asks for one
# ends_after = "24h"                          # what fires and is not told of again ends by itself then
# allow_cidrs = ["10.0.0.0/8"]
#
# [destinations.archive]
# type = "jsonl"                              # a file, one alert a line
# path = "alerts.jsonl"
#
# [destinations.terminal]
# type = "stdout"
"""


def template() -> str:
    """config/foreshock.toml, whole."""
    parts = [HEAD]
    defaults = Settings()
    for name, field in Settings.model_fields.items():
        if name == "detectors":
            for detector, model in detector_models().items():
                parts.append("\n".join(_table(f"detectors.{detector}", model(), _sentence(model))))
        elif name == "destinations":
            parts.append(EXAMPLES)
        else:
            section = getattr(defaults, name)
            parts.append("\n".join(_table(name, section, _sentence(type(section)) or field.description or "")))
    return "\n".join(parts)


def schema() -> dict[str, Any]:
    """The JSON Schema of the file, draft 2020-12, with every detector's own keys."""
    whole = Settings.model_json_schema()
    whole["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    whole["title"] = "foreshock.toml"
    for model in _models(Settings):
        properties = whole["$defs"][model.__name__]["properties"] if model is not Settings else whole["properties"]
        for name, field in model.model_fields.items():
            if isinstance(field.default, Duration | Size):  # a text, whose bounds JSON Schema cannot say in numbers
                properties[name] = {k: v for k, v in properties[name].items() if k not in ("ge", "le")}
                properties[name]["description"] = _with_bounds(field)
    tables = {}
    for name, model in detector_models().items():
        tables[name] = model.model_json_schema()
        tables[name]["title"] = name
    whole["properties"]["detectors"] = {"type": "object", "additionalProperties": False, "properties": tables}
    return whole


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _models(field.annotation)


def effective(configuration: Configuration) -> dict[str, Any]:
    """Every key as it is in force, secrets not shown."""
    tree = configuration.settings.model_dump(mode="json")
    tree["detectors"] = {
        d.name: {"enabled": d.enabled, "budget_share": d.budget_share}
        | {key: getattr(d.params, key) for key in d.params.__dataclass_fields__}
        for d in configuration.detectors
    }
    return {name: _masked(value) for name, value in tree.items()}


def toml(value: object) -> str:
    """A value as TOML writes it.

    >>> toml(("a", 1)), toml(True), toml(0.1), toml({"a": 1})
    ('["a", 1]', 'true', '0.1', '{ a = 1 }')
    """
    match value:
        case bool():
            return "true" if value else "false"
        case Duration() | Size() | Path():
            return json.dumps(str(value))
        case int() | float():
            return repr(value)
        case dict():
            inside = ", ".join(f"{key} = {toml(item)}" for key, item in value.items())
            return f"{{ {inside} }}" if inside else "{}"
        case list() | tuple():
            return f"[{', '.join(toml(item) for item in value)}]"
        case _:
            return json.dumps(str(value), ensure_ascii=False)


def _table(path: str, section: BaseModel, sentence: str) -> Iterator[str]:
    yield from _comment(sentence)
    yield f"[{path}]"
    tables = []
    for key, field in type(section).model_fields.items():
        value = getattr(section, key)
        if isinstance(value, BaseModel):
            tables.append((f"{path}.{key}", value))
            continue
        yield from _comment(_with_bounds(field))
        if value is None:
            yield f"# {key} = {toml(field.examples[0] if field.examples else '...')}"
        else:
            yield f"{key} = {toml(value)}"
    for below, value in tables:
        yield ""
        yield from _table(below, value, _sentence(type(value)))
    if not tables:
        yield ""


def _with_bounds(field: FieldInfo) -> str:
    """The description, with the values a key may have where they are few or bounded."""
    text = (field.description or "").rstrip(".")
    choices = getattr(field.annotation, "__args__", ())
    if choices and all(isinstance(choice, str) for choice in choices):
        return f"{text}. One of: {', '.join(choices)}."
    bounds = [
        f"{word} {_bound(getattr(rule, name))}"
        for rule in field.metadata
        for name, word in (("gt", "more than"), ("ge", "at least"), ("le", "at most"))
        if getattr(rule, name, None) is not None
    ]
    return f"{text} ({', '.join(bounds)})." if bounds else f"{text}."


def _bound(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False, break_long_words=False
    )


def _sentence(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().partition("\n\n")[0]


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    return SHOWN if isinstance(value, str) and value == "**********" else value
