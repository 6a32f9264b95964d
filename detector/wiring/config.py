"""The configuration of one run: the file, over it the environment, checked as a whole, with where each key came from.

Whatever is wrong is said at once: the file, the key and a sentence. What was written is not shown: it may be a secret.
"""

from __future__ import annotations

import difflib
import inspect
import json
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, Field, SecretStr, ValidationError, create_model
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict, SettingsError

from detector.wiring import plugins
from detector.wiring.calendar_section import PlannedPhase
from detector.wiring.destination_section import AnyDestination
from detector.wiring.section import Section
from detector.wiring.settings import Settings
from detector.wiring.units import Duration, Size

PREFIX = "FORESHOCK_"
# variables of ours that are no keys: which file, whether kernels are compiled, and those of tests
BESIDE = tuple(f"{PREFIX}{name}" for name in ("CONFIG", "KERNELS", "BLESS", "SEED", "REQUIRE_KAFKA"))
# what Kubernetes tells every pod of a service called foreshock
INJECTED = re.compile(rf"{PREFIX}(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_[A-Z0-9_]+)?)")
PLACES = (Path("foreshock.toml"), Path("/etc/foreshock/foreshock.toml"))  # looked for in this order
SECRET_BYTES_MAX = 65536
WINDOWS_MAX = 86_400  # that a detector sums over: a day of 1 s; each takes 17 bytes for every market and stream
MEMORY_WINDOWS_MAX = 31 * 86_400  # in which what is normal half forgets: costs nothing, but who learns for longer?
FACTOR_MAX = 1_000.0


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where it was written (a file or a variable), which key, and the sentence."""

    where: str
    key: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.where}: {self.key}: {self.sentence}" if self.key else f"{self.where}: {self.sentence}"


class ConfigurationError(Exception):
    """The configuration cannot be used. Says everything that is wrong, a line each."""

    exit_code = 3

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class DetectorSection(Section):
    """What every detector's table has besides its own parameters."""

    enabled: bool = Field(default=True, description="Whether it runs.")
    budget_share: float = Field(
        default=1.0,
        gt=0,
        le=100,
        description="Its part of [budget], in proportion to the other detectors' (docs/adr/0058).",
    )


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """One detector as it will run; `params` is its own frozen dataclass."""

    name: str
    enabled: bool
    budget_share: float
    params: Any


@dataclass(frozen=True, slots=True)
class Configuration:
    """What everything is built from. `origins`: for each key that was given, the file or variable that gave it."""

    settings: Settings
    detectors: tuple[DetectorSettings, ...]
    origins: Mapping[str, str] = field(default_factory=dict)
    path: Path | None = None

    @property
    def config_rev(self) -> str:
        """16 hex digits of everything that changes what is found: equal revisions find the same in the same log."""
        settings = self.settings.model_dump(mode="json")
        settings["limits"].pop("staged_events_max")  # changes when something is read, not what is found
        for link in ("page_link", "runbook_link"):
            settings["incidents"].pop(link)
        relevant = {key: settings[key] for key in ("input", "windows", "limits", "budget", "incidents", "calendar")}
        relevant["detectors"] = [asdict(d) for d in self.detectors if d.enabled]
        return blake2b(json.dumps(relevant, sort_keys=True).encode(), digest_size=8).hexdigest()


def load(path: Path | None = None) -> Configuration:
    """From `path` (else $FORESHOCK_CONFIG, else the first of PLACES there is, else the defaults) and the environment.

    Raises ConfigurationError.
    """
    return _checked(*_gathered(path))


def load_settings(path: Path | None = None) -> Settings:
    """The same without the detectors, whose rooms take a second to import: for commands beside a running daemon."""
    tree, origins, found, problems = _gathered(path)
    settings, more = _settings(tree, origins, str(found or "configuration"))
    if problems or more:
        raise ConfigurationError(*problems, *more)
    return settings


def of(tree: Mapping[str, Any]) -> Configuration:
    """From a tree of keys, as tests and the demonstration have it; the environment is not asked."""
    return _checked(dict(tree), dict.fromkeys(_keys(tree), "given"), None, [])


def secret(value: SecretStr | None, file: Path | None) -> str:
    """A secret from where the configuration says it is; "" when it says nothing. Raises ConfigurationError."""
    if value is not None:
        return value.get_secret_value()
    if file is None:
        return ""
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            content = opened.read(SECRET_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigurationError(Problem(str(file), "", f"cannot be read: {error.strerror}")) from None
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise ConfigurationError(Problem(str(file), "", "everybody on this machine may read it: chmod o-rwx"))
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        text = ""
    if not text or len(content) > SECRET_BYTES_MAX:
        raise ConfigurationError(Problem(str(file), "", f"holds no secret: text of at most {SECRET_BYTES_MAX} bytes"))
    return text


class _FromEnvironment(Settings, BaseSettings):
    """The same keys, as environment variables."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid")


def _file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ConfigurationError(Problem(str(path), "", f"cannot be read: {error.strerror}")) from None
    except UnicodeDecodeError:
        raise ConfigurationError(Problem(str(path), "", "is not UTF-8 text")) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(Problem(str(path), "", f"is not TOML: {error}")) from None


def _environment() -> tuple[dict[str, Any], list[Problem]]:
    problems = []
    for variable in sorted(os.environ):
        known = variable in BESIDE or INJECTED.fullmatch(variable) is not None
        if not variable.upper().startswith(PREFIX) or known:
            continue
        section = variable[len(PREFIX) :].partition("__")[0].lower()
        if section not in Settings.model_fields:
            problems.append(Problem(variable, section, _unknown(section, Settings.model_fields)))
    try:
        return dict(EnvSettingsSource(_FromEnvironment)()), problems
    except SettingsError as error:
        return {}, [*problems, Problem("environment", "", f"{error}: name a key, like {PREFIX}KAFKA__TOPICS=a,b")]


def _gathered(path: Path | None) -> tuple[dict[str, Any], Mapping[str, str], Path | None, list[Problem]]:
    given = path or (Path(os.environ[f"{PREFIX}CONFIG"]) if os.environ.get(f"{PREFIX}CONFIG") else None)
    found = given or next((place for place in PLACES if place.is_file()), None)
    written = _file(found) if found is not None else {}
    environment, problems = _environment()
    origins = {key: str(found) for key in _keys(written)}
    origins |= {key: PREFIX + key.upper().replace(".", "__") for key in _keys(environment)}
    return _over(written, environment), origins, found, problems


def _settings(tree: dict[str, Any], origins: Mapping[str, str], where: str) -> tuple[Settings, list[Problem]]:
    """The defaults, and what is wrong, where anything is."""
    try:
        return Settings.model_validate(tree), []
    except ValidationError as error:
        return Settings(), [_problem(tree, Settings, details, origins, where) for details in error.errors()]


def _checked(
    tree: dict[str, Any], origins: Mapping[str, str], path: Path | None, problems: list[Problem]
) -> Configuration:
    where = str(path) if path else "configuration"
    settings, more = _settings(tree, origins, where)
    problems = [*problems, *more]
    language = _table(tree, "input").get("format", settings.input.format)
    if isinstance(language, str) and language not in plugins.names("formats"):
        sentence = _unknown(language, plugins.names("formats"), "format")
        problems.append(Problem(_origin("input.format", origins, where), "input.format", sentence))
    detectors = []
    tables = _table(tree, "detectors")
    known = plugins.names("anomaly")
    for name in known:
        try:
            detectors.append(detector_settings(name, _table(tables, name)))
        except ValidationError as error:
            for details in error.errors():
                details["loc"] = ("detectors", name, *details["loc"])
                problems.append(_problem(tree, _detector_model(name), details, origins, where))
    for name in sorted(set(tables) - set(known)):
        key = f"detectors.{name}"
        problems.append(Problem(_origin(key, origins, where), key, _unknown(name, known, "detector")))
    if problems:
        raise ConfigurationError(*problems)
    return Configuration(settings, tuple(detectors), origins, path)


@cache
def _detector_model(name: str) -> type[DetectorSection]:
    detector = plugins.load("anomaly", name)
    params = detector.Params
    columns: dict[str, Any] = {
        key: (type(default), Field(default=default, description=text, **_bounds(key, default)))
        for key, default, text in plugins.described(params)
    }
    share = DetectorSection.model_fields["budget_share"]
    columns["budget_share"] = (float, Field(default=detector.SHARE, gt=0, le=100, description=share.description))
    return create_model(f"Detector_{name}", __base__=DetectorSection, __doc__=inspect.getdoc(detector), **columns)


def _bounds(key: str, default: object) -> dict[str, Any]:
    """What a detector's own parameter may be, by its kind: so many windows, or a factor."""
    if type(default) is int:
        assert key.endswith("_windows"), f"{key}: a whole number of what? Its unit says what is too many"
        return {"ge": 1, "le": MEMORY_WINDOWS_MAX if key.endswith("memory_windows") else WINDOWS_MAX}
    return {"gt": 0, "le": FACTOR_MAX} if type(default) is float else {}


def detector_settings(name: str, table: Mapping[str, Any]) -> DetectorSettings:
    """One detector's table, checked. Raises pydantic's ValidationError."""
    section = _detector_model(name).model_validate(table)
    own = section.model_dump(exclude={"enabled", "budget_share"})
    params = plugins.load("anomaly", name).Params(**own)
    return DetectorSettings(name, section.enabled, section.budget_share, params)


def detector_models() -> dict[str, type[DetectorSection]]:
    """Of every detector there is, the type of its table."""
    return {name: _detector_model(name) for name in plugins.names("anomaly")}


def _problem(
    tree: Mapping[str, Any], model: type[BaseModel], details: Any, origins: Mapping[str, str], where: str
) -> Problem:
    """pydantic's complaint as ours. Its `input` is never looked at."""
    path = [str(part) for part in details["loc"]]
    if path[:1] == ["destinations"] and len(path) > 2:
        del path[2]  # the kind of destination, which pydantic puts there
    key = ".".join(path)
    kind = details["type"]
    sentence = str(details["msg"]).removeprefix("Value error, ")
    bound = next(iter(details.get("ctx", {}).values()), None)
    if isinstance(bound, Duration | Size):
        sentence = f"{'at least' if kind == 'greater_than_equal' else 'at most'} {bound}"
    if kind == "extra_forbidden":
        sentence = _unknown(path[-1], _siblings(tree, model, path))
    elif kind == "missing":
        sentence = "is missing"
    elif kind.startswith("union_tag"):
        kinds = ", ".join(sorted(_destinations()))
        key, sentence = f"{key}.type", f"say what kind it is: {kinds}"
    return Problem(_origin(key, origins, where), key, sentence)


def _origin(key: str, origins: Mapping[str, str], where: str) -> str:
    if key in origins:
        return origins[key]
    below = {origin for other, origin in origins.items() if other.startswith(f"{key}.")}
    return below.pop() if len(below) == 1 else where


def _destinations() -> dict[str, type[BaseModel]]:
    union = get_args(get_args(AnyDestination)[0])
    return {get_args(kind.model_fields["type"].annotation)[0]: kind for kind in union}


def _siblings(tree: Mapping[str, Any], model: type[BaseModel], path: list[str]) -> tuple[str, ...]:
    """Keys that could stand where `path` ends."""
    if path[0] == "destinations" and len(path) == 3:
        kind = tree["destinations"][path[1]].get("type")
        return tuple(_destinations()[kind].model_fields)
    if path[0] == "detectors":
        return tuple(model.model_fields)
    if path[:2] == ["calendar", "phases"]:
        return tuple(PlannedPhase.model_fields)
    for part in path[:-1]:
        below = model.model_fields[part].annotation
        if not (isinstance(below, type) and issubclass(below, BaseModel)):
            return ()
        model = below
    return tuple(model.model_fields)


def _unknown(name: str, known: Any, what: str = "key") -> str:
    near = difflib.get_close_matches(name, list(known), 1, 0.6)
    return f"no such {what}; did you mean {near[0]}?" if near else f"no such {what}; there is {', '.join(known)}"


def _table(tree: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The table under `name`; empty when there is none, or something that is no table (said elsewhere)."""
    found = tree.get(name, {})
    return found if isinstance(found, dict) else {}


def _keys(tree: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _keys(value, f"{before}{name}.")
        else:
            yield f"{before}{name}"


def _over(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with what `above` says laid over it, table by table."""
    merged = dict(below)
    for name, value in above.items():
        under = merged.get(name)
        merged[name] = _over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged
