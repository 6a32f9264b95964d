"""The pickle-free codec of saved state: a State tree as bytes, and back. Reading one runs no code, whoever wrote it.

    MAGIC | blake2b-256 of all that follows | bytes of header | header (msgpack) | body (zstd)

The header holds the tree, with every array replaced by its place in the body; the body holds the arrays' raw
little-endian bytes, one after the other. What does not check out is a SnapshotError with a sentence, never garbage.
"""

from __future__ import annotations

import hashlib
import math
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import zstandard

from detector.model.state import State, Tree

MAGIC = b"foreshk1"  # the last byte is the format's version
SCHEMA = 2  # what the tree means to this program; a newer one is refused
DEPTH_MAX = 32  # dicts and lists inside each other
BODY_BYTES_MAX = 2 << 30  # arrays, uncompressed: also the bound on what a hostile body may expand to
HEADER_BYTES_MAX = 64 << 20
DIGEST_BYTES = 32
ALIGNMENT = 8
PAGE_BYTES = 4096
KINDS = frozenset("biufSU")  # bool, int, uint, float, bytes, text: no objects, no times
_ARRAY, _BIG = 1, 2  # msgpack extension codes
_LENGTH = struct.Struct("<I")


class SnapshotError(Exception):
    """These bytes are not a snapshot this program can go on from; the sentence says why."""


class Header(msgspec.Struct, frozen=True):
    """What a snapshot says of itself before its body is read. `about`: whatever its writer noted (config_rev, ...)."""

    schema: int
    body_bytes: int
    about: dict[str, str]
    tree: dict[str, Any]


class _Place(msgspec.Struct, frozen=True, array_like=True):
    dtype: Any
    shape: list[int]
    start: int


class Arena:
    """Memory that frozen states lie in, one after the other, so that another thread may encode one while the engine
    goes on. It is kept: to be given new memory takes several times as long as copying into old, and nothing is folded
    meanwhile. What was frozen before is overwritten."""

    def __init__(self) -> None:
        self._bytes = np.empty(0, np.uint8)

    @property
    def room(self) -> int:
        """Bytes of a state that it holds without new memory."""
        return len(self._bytes)

    def reserve(self, size: int) -> None:
        """Have memory for a state that will soon be larger than `size` bytes, and touch it: outside of a turn."""
        if size + size // 8 > len(self._bytes):
            self._bytes = np.empty(size + size // 4, np.uint8)
            self._bytes[::PAGE_BYTES] = 0

    def freeze(self, state: State) -> Frozen:
        """A copy of the tree, its arrays laid out as `encode` writes them."""
        size = size_of(state)
        if size > len(self._bytes):
            self.reserve(size)
        end = 0

        def copied(value: Tree) -> Tree:
            nonlocal end
            if isinstance(value, dict):
                return {key: copied(child) for key, child in value.items()}
            if isinstance(value, list):
                return [copied(child) for child in value]
            if not isinstance(value, np.ndarray):
                return value
            start = -(-end // ALIGNMENT) * ALIGNMENT
            self._bytes[end:start] = 0
            end = start + value.nbytes
            place = self._bytes[start:end]
            if value.nbytes:
                place[:] = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
            return place.view(value.dtype).reshape(value.shape) if value.nbytes else value.copy()

        tree = {key: copied(value) for key, value in state.items()}
        return Frozen(tree, self._bytes[:end])


@dataclass(frozen=True, slots=True, eq=False)
class Frozen:
    """A state that nobody writes to. body: uint8, its arrays one after the other."""

    state: State
    body: npt.NDArray[np.uint8]


def size_of(state: State) -> int:
    """Bytes of its arrays, each beginning at a multiple of ALIGNMENT: what a frozen one takes."""
    return sum(-(-array.nbytes // ALIGNMENT) * ALIGNMENT for array in _arrays(state))


def _arrays(value: Tree) -> Iterator[npt.NDArray[np.generic]]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from _arrays(child)


def encode(state: State | Frozen, *, about: Mapping[str, str] | None = None, schema: int = SCHEMA) -> bytes:
    """The tree as bytes, the same whether it is frozen or not.

    SnapshotError when it holds what cannot be saved: our own mistake, named by its path.
    """
    arrays: list[npt.NDArray[np.generic]] = []
    end = 0

    def place(array: npt.NDArray[np.generic]) -> msgspec.msgpack.Ext:
        nonlocal end
        start = -(-end // ALIGNMENT) * ALIGNMENT
        end = start + array.nbytes
        arrays.append(array)
        found = _Place(_describe(array.dtype), list(array.shape), start)
        return msgspec.msgpack.Ext(_ARRAY, msgspec.msgpack.encode(found))

    tree = _packed(state.state if isinstance(state, Frozen) else state, "state", 0, place)
    if end > BODY_BYTES_MAX:
        raise SnapshotError(f"the state's arrays are {end} bytes, more than {BODY_BYTES_MAX}")
    header = msgspec.msgpack.encode(Header(schema, end, dict(about or {}), tree))
    if len(header) > HEADER_BYTES_MAX:
        raise SnapshotError(f"the state without its arrays is {len(header)} bytes, more than {HEADER_BYTES_MAX}")
    sealed = _LENGTH.pack(len(header)) + header + _compressed(_body(arrays, end, state))
    return MAGIC + hashlib.blake2b(sealed, digest_size=DIGEST_BYTES).digest() + sealed


def decode(blob: bytes, *, schema: int = SCHEMA) -> State:
    """The tree that was encoded, arrays writable. SnapshotError when these bytes are not exactly one of ours."""
    found, body = _opened(blob)
    if found.schema > schema:
        raise SnapshotError(f"written by a newer foreshock: state schema {found.schema}, this one reads up to {schema}")
    if not 0 <= found.body_bytes <= BODY_BYTES_MAX:
        raise SnapshotError(f"says its arrays are {found.body_bytes} bytes; the limit is {BODY_BYTES_MAX}")
    try:
        raw = zstandard.ZstdDecompressor().decompress(body, max_output_size=found.body_bytes) if body else b""
    except zstandard.ZstdError as error:
        raise SnapshotError(f"its body does not decompress: {error}") from None
    if len(raw) != found.body_bytes:
        raise SnapshotError(f"its body is {len(raw)} bytes where {found.body_bytes} were promised")
    return {key: _unpacked(value, raw, 1) for key, value in found.tree.items()}


def inspect(blob: bytes) -> Header:
    """Its header, once the checksum holds."""
    return _opened(blob)[0]


def _opened(blob: bytes) -> tuple[Header, memoryview]:
    start = len(MAGIC) + DIGEST_BYTES
    if len(blob) < start + _LENGTH.size:
        raise SnapshotError(f"cut off: {len(blob)} bytes are too few for a snapshot")
    if blob[: len(MAGIC)] != MAGIC:
        raise SnapshotError("not a foreshock snapshot of a format this program knows")
    view = memoryview(blob)
    sealed = view[start:]
    if hashlib.blake2b(sealed, digest_size=DIGEST_BYTES).digest() != bytes(view[len(MAGIC) : start]):
        raise SnapshotError("its checksum is wrong: damaged or cut off")
    (length,) = _LENGTH.unpack(sealed[: _LENGTH.size])
    if length > min(HEADER_BYTES_MAX, len(sealed) - _LENGTH.size):
        raise SnapshotError("its header does not fit into it")
    try:
        header = msgspec.msgpack.decode(sealed[_LENGTH.size : _LENGTH.size + length], type=Header, ext_hook=_extension)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise SnapshotError(f"its header is unreadable: {error}") from None
    return header, sealed[_LENGTH.size + length :]


def _compressed(body: npt.NDArray[np.uint8]) -> bytes:
    """Level 1: most tables are mostly empty, and an empty page need not be written to disk every five seconds."""
    if len(body) == 0:
        return b""
    return zstandard.ZstdCompressor(level=1, write_content_size=True).compress(body.data)


def _body(arrays: list[npt.NDArray[np.generic]], size: int, state: State | Frozen) -> npt.NDArray[np.uint8]:
    """uint8 (size): the arrays' canonical bytes, each at its place; a frozen state's lie there already."""
    if isinstance(state, Frozen) and sys.byteorder == "little" and all(map(_is_little, arrays)):
        assert len(state.body) == size, f"a frozen state of {len(state.body)} bytes was to be {size}"
        for array in arrays:
            _blank_gaps(array)
        return state.body
    body = np.zeros(size, np.uint8)
    end = 0
    for array in arrays:
        start = -(-end // ALIGNMENT) * ALIGNMENT
        end = start + array.nbytes
        if array.nbytes:
            place = body[start:end]
            place[:] = _little(array).reshape(-1).view(np.uint8)
            _blank_gaps(place.view(array.dtype))
    return body


def _is_little(array: npt.NDArray[np.generic]) -> bool:
    return array.dtype == array.dtype.newbyteorder("<")


def _little(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))


def _blank_gaps(array: npt.NDArray[np.generic]) -> None:
    """Nothing between the fields: numpy leaves there what the memory held before."""
    gaps = _gaps(array.dtype)
    if gaps.any() and array.size:
        array.reshape(-1).view(np.uint8).reshape(-1, len(gaps))[:, gaps] = 0


@lru_cache(maxsize=256)
def _gaps(dtype: np.dtype[Any]) -> npt.NDArray[np.bool_]:
    """bool (bytes of a value): True where no field is."""
    gaps = np.ones(dtype.itemsize, np.bool_)
    _cover(gaps, dtype, 0)
    return gaps


def _cover(gaps: npt.NDArray[np.bool_], dtype: np.dtype[Any], start: int) -> None:
    """Mark the bytes that a value of `dtype` at `start` really uses."""
    if dtype.fields is not None:
        for name in dtype.names or ():
            _cover(gaps, dtype.fields[name][0], start + dtype.fields[name][1])
    elif dtype.subdtype is not None:
        base, shape = dtype.subdtype
        for index in range(math.prod(shape)):
            _cover(gaps, base, start + index * base.itemsize)
    else:
        gaps[start : start + dtype.itemsize] = False


def _packed(value: object, path: str, depth: int, place: Callable[[npt.NDArray[np.generic]], Any]) -> Any:
    if depth > DEPTH_MAX:
        raise SnapshotError(f"{path} lies deeper than {DEPTH_MAX} levels")
    if isinstance(value, dict):
        for key in value:
            if type(key) is not str:
                raise SnapshotError(f"{path} has the key {key!r}; keys are strings")
        return {key: _packed(child, f"{path}.{key}", depth + 1, place) for key, child in value.items()}
    if isinstance(value, list):
        return [_packed(child, f"{path}[{index}]", depth + 1, place) for index, child in enumerate(value)]
    if isinstance(value, np.ndarray):
        _check_dtype(value.dtype, path)
        return place(value)
    if isinstance(value, (np.bool_, np.integer, np.float64)):
        value = value.item()
    if value is None or type(value) in (bool, float, str, bytes):
        return value
    if type(value) is int:
        return value if -(1 << 63) <= value < 1 << 64 else _big(value)
    raise SnapshotError(f"{path} is a {type(value).__name__}, which is not saved state")


def _unpacked(value: Any, body: bytes, depth: int) -> Tree:
    if depth > DEPTH_MAX + 1:
        raise SnapshotError(f"nested deeper than {DEPTH_MAX} levels")
    if isinstance(value, dict):
        return {_name(key): _unpacked(child, body, depth + 1) for key, child in value.items()}
    if isinstance(value, list):
        return [_unpacked(child, body, depth + 1) for child in value]
    if isinstance(value, _Place):
        return _array(value, body)
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    raise SnapshotError(f"holds a {type(value).__name__}, which is not saved state")


def _name(key: object) -> str:
    if not isinstance(key, str):
        raise SnapshotError(f"has the key {key!r}; keys are strings")
    return key


def _big(value: int) -> msgspec.msgpack.Ext:
    """Integers past 64 bits: the state of a random generator is one."""
    return msgspec.msgpack.Ext(_BIG, value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))


def _extension(code: int, data: memoryview) -> Any:
    if code == _ARRAY:
        return msgspec.msgpack.decode(data, type=_Place)
    if code == _BIG:
        return int.from_bytes(data, "little", signed=True)
    raise msgspec.ValidationError(f"extension {code} is unknown")


def _array(place: _Place, body: bytes) -> npt.NDArray[np.generic]:
    dtype = _dtype(place.dtype)
    if any(size < 0 for size in place.shape) or place.start < 0 or len(place.shape) > 8:
        raise SnapshotError(f"an array has the shape {place.shape} at {place.start}")
    count = math.prod(place.shape)
    if place.start + count * dtype.itemsize > len(body):
        raise SnapshotError(f"an array of shape {place.shape} reaches past the end of the body")
    if count * dtype.itemsize == 0:
        return np.zeros(place.shape, dtype)
    return np.frombuffer(body, dtype, count, place.start).reshape(place.shape).copy()


def _check_dtype(dtype: np.dtype[Any], path: str) -> None:
    if dtype.subdtype is not None:
        _check_dtype(dtype.subdtype[0], path)
    elif dtype.fields is not None:
        for name in dtype.names or ():
            _check_dtype(dtype.fields[name][0], f"{path}[{name!r}]")
    elif dtype.kind not in KINDS:
        raise SnapshotError(f"{path} is an array of {dtype}, which is not saved state")


def _describe(dtype: np.dtype[Any]) -> Any:
    """'<f8', or {fields: [[name, what, offset, shape]], size} for a structured one."""
    if dtype.fields is None:
        return dtype.newbyteorder("<").str
    fields = []
    for name in dtype.names or ():
        kind, offset = dtype.fields[name][:2]
        base, shape = kind.subdtype if kind.subdtype is not None else (kind, ())
        fields.append([name, _describe(base), offset, list(shape)])
    return {"fields": fields, "size": dtype.itemsize, "aligned": dtype.isalignedstruct}


def _dtype(described: Any, depth: int = 0) -> np.dtype[Any]:
    """The dtype that was described, of allowed kinds only; numpy itself refuses fields that do not fit."""
    try:
        if isinstance(described, str):
            dtype = np.dtype(described)
            if dtype.fields is None and dtype.subdtype is None and dtype.kind in KINDS:
                return dtype
        elif isinstance(described, dict) and depth < DEPTH_MAX:
            names = [str(name) for name, _, _, _ in described["fields"]]
            kinds = [(_dtype(kind, depth + 1), tuple(shape)) for _, kind, _, shape in described["fields"]]
            return np.dtype(
                {
                    "names": names,
                    "formats": [(kind, shape) if shape else kind for kind, shape in kinds],
                    "offsets": [offset for _, _, offset, _ in described["fields"]],
                    "itemsize": described["size"],
                },
                align=bool(described["aligned"]),
            )
    except (TypeError, ValueError, KeyError) as error:
        raise SnapshotError(f"describes an array that cannot be: {error}") from None
    raise SnapshotError(f"holds an array of {described!r}, which is not saved state")
