"""Style as tests: what ruff, mypy and import-linter cannot see."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from detector.wiring import plugins
from tests.house.tree import PLUGIN_ROOMS, PURE, python, short, syntax

LINES_MAX = 400
# house.md, the table of names: the market's words. Only our own identifiers; a venue's JSON keys are strings.
BANNED = {
    "symbol": "market",
    "symbols": "markets",
    "ticker": "market",
    "coin": "market",
    "px": "price_ticks",
    "sz": "qty_lots",
    "ts": "event_ns, broker_ns or close_ns",
    "timestamp_ns": "event_ns, broker_ns or close_ns",
    "bucket": "window",
    "notification": "alert",
    "lev": "leverage",
    "liquidity": "depth",
    "utils": "a noun that says what is in it",
    "helpers": "a noun that says what is in it",
}
FORBIDDEN_MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "hash", "id"}


@pytest.mark.parametrize("path", python(), ids=short)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    count = len(path.read_text("utf-8").splitlines())
    assert count <= LINES_MAX, f"{short(path)} has {count} lines: split it by idea"


@pytest.mark.parametrize("path", python("detector", "replay", "tools", "bench"), ids=short)
def test_the_first_line_of_a_file_says_what_it_is(path: Path) -> None:
    first = (ast.get_docstring(syntax(path)) or "").splitlines()
    assert first and len(first[0]) > 3, f"{short(path)} needs a docstring whose first line says what it is"


@pytest.mark.parametrize("path", python("detector", "replay"), ids=short)
def test_names_are_the_markets_words(path: Path) -> None:
    banned = dict(BANNED)
    if path.parent.name == "formats":
        del banned["ts"]  # the wire's own word for it
    wrong = sorted({f"{name} (line {line}): say {banned[name]}" for name, line in _names(path) if name in banned})
    assert not wrong, f"{short(path)}: {'; '.join(wrong)}"


@pytest.mark.parametrize("path", python("detector", "replay", "tools", "bench"), ids=short)
def test_nothing_is_unpickled_or_evaluated(path: Path) -> None:
    wrong = [f"line {node.lineno}: {module}" for node, module in _imports(path) if module in FORBIDDEN_MODULES]
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"eval", "exec"}:
            wrong.append(f"line {node.lineno}: {node.func.id}()")
    assert not wrong, f"{short(path)}: {wrong}"


@pytest.mark.parametrize("path", python(*(f"detector/{room}" for room in PURE)), ids=short)
def test_an_engine_room_knows_no_clock_no_dice_and_no_order_of_hashes(path: Path) -> None:
    wrong = []
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.Attribute):
            dotted = ast.unparse(node)
            if re.fullmatch(r"(datetime\.)*(datetime|date)\.(now|utcnow|today)", dotted):
                wrong.append(f"line {node.lineno}: {dotted}: time is an argument")
            if re.match(r"(np|numpy)\.random\.(?!Generator\b|PCG64\b|SeedSequence\b)", dotted):
                wrong.append(f"line {node.lineno}: {dotted}: a seeded Generator is an argument")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
            wrong.append(f"line {node.lineno}: {node.func.id}() differs from run to run")
        if isinstance(node, ast.For | ast.comprehension):
            over = node.iter
            is_set = isinstance(over, ast.Set | ast.SetComp) or (
                isinstance(over, ast.Call) and isinstance(over.func, ast.Name) and over.func.id in {"set", "frozenset"}
            )
            if is_set:
                wrong.append(f"line {over.lineno}: goes through a set: sort it, or its order is another in each run")
        if isinstance(node, ast.AsyncFunctionDef | ast.Await):
            wrong.append(f"line {node.lineno}: an await")
    assert not wrong, f"{short(path)}: {'; '.join(wrong)}"


@pytest.mark.parametrize("path", python("detector"), ids=short)
def test_a_kernel_takes_a_field_by_its_name_in_brackets(path: Path) -> None:
    """event["kind"], not event.kind: only the first form also runs as plain Python."""
    array_words = {"shape", "size", "ndim", "dtype", "T", "fill", "copy", "sum"}
    wrong = []
    for function in _kernels(path):
        parameters = {argument.arg for argument in function.args.args}
        local = {
            t.id for n in ast.walk(function) if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)
        }
        tables = {
            "tables",
            "measure",
            "limits",
        }  # NamedTuples of arrays and numbers, which have attributes in both forms
        for node in ast.walk(function):
            if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
                continue
            if node.value.id in (parameters | local) - tables and node.attr not in array_words:
                wrong.append(f"line {node.lineno}: {ast.unparse(node)}")
    assert not wrong, f"{short(path)}: write it with brackets: {wrong}"


@pytest.mark.parametrize("path", python("detector"), ids=short)
def test_a_kernel_allocates_and_prints_nothing(path: Path) -> None:
    wrong = []
    for function in _kernels(path):
        for node in ast.walk(function):
            if isinstance(
                node, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp | ast.JoinedStr
            ):
                wrong.append(f"{function.name}, line {node.lineno}: {type(node).__name__}")
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {
                "print", "np.zeros", "np.empty", "np.ones", "np.full", "np.array", "np.concatenate", "np.append",
            }:  # fmt: skip
                wrong.append(f"{function.name}, line {node.lineno}: {ast.unparse(node.func)}")
    assert not wrong, f"{short(path)}: {wrong}"


def _plugins() -> list[tuple[Path, ast.ClassDef]]:
    found = []
    for path in python(*(f"detector/{room}" for room in PLUGIN_ROOMS)):
        name = "".join(part.capitalize() for part in path.stem.split("_"))
        for node in syntax(path).body:
            bases = {ast.unparse(base) for base in node.bases} if isinstance(node, ast.ClassDef) else set()
            if bases - {"NamedTuple"} and node.name == name and path.stem != "base":
                found.append((path, node))
    return found


@pytest.mark.parametrize(
    ("path", "plugin"), _plugins(), ids=lambda value: short(value) if isinstance(value, Path) else ""
)
def test_a_plug_in_says_what_it_is_for(path: Path, plugin: ast.ClassDef) -> None:
    text = ast.get_docstring(plugin) or ""
    assert len(text) > 40, f"{short(path)}: {plugin.name} needs a docstring: what it is for, when it is wrong"


@pytest.mark.parametrize("room", sorted(plugins.BASES))
def test_no_plug_in_is_passed_over_for_its_class_is_called_otherwise(room: str) -> None:
    assert plugins.names(room)


def test_there_are_plug_ins_to_look_at() -> None:
    assert {path.parent.name for path, _ in _plugins()} >= {"anomaly", "formats"}


@pytest.mark.parametrize(
    ("path", "plugin"), _plugins(), ids=lambda value: short(value) if isinstance(value, Path) else ""
)
def test_a_plug_in_does_not_know_its_neighbours(path: Path, plugin: ast.ClassDef) -> None:
    room = path.parent.name
    neighbours = {other.stem for other, _ in _plugins() if other.parent == path.parent and other != path}
    known = {module for _, module in _imports(path, whole=True)}
    wrong = sorted(module for module in known if module in {f"detector.{room}.{name}" for name in neighbours})
    assert not wrong, f"{short(path)} imports its neighbours {wrong}: what they share belongs in a third file"


def _kernels(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.FunctionDef) and any(ast.unparse(d) == "kernel" for d in node.decorator_list):
            yield node


def _imports(path: Path, *, whole: bool = False) -> Iterator[tuple[ast.stmt, str]]:
    for node in ast.walk(syntax(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name if whole else alias.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom):
            yield node, (node.module or "") if whole else (node.module or "").partition(".")[0]
            if whole:
                for alias in node.names:
                    yield node, f"{node.module}.{alias.name}"


def _names(path: Path) -> Iterator[tuple[str, int]]:
    """Every identifier that this file makes: functions, arguments, variables, attributes it sets."""
    for node in ast.walk(syntax(path)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name.lower(), node.lineno
            case ast.arg(arg=name):
                yield name, node.lineno
            case ast.Name(id=name, ctx=ast.Store()):
                yield name.strip("_").lower(), node.lineno
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield name.strip("_").lower(), node.lineno
    yield path.stem, 1
