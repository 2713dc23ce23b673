"""Named arrays in files: `.npz` and `.safetensors`, read without trusting them.

A safetensors file is 8 bytes of header length (little endian), a JSON header that gives each tensor a dtype, a shape and a range
of bytes, and the bytes. Arrays are read-only views of the mapped file.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from rlxc.errors import Error, FileError, MissingExtra
from rlxc.ir.attributes import Dense, Resource
from rlxc.ir.builder import make_op
from rlxc.ir.core import Func, Op, Value
from rlxc.ir.types import MAX_RANK, DType, TensorType
from rlxc.runtime.arguments import array_text

MAX_HEADER = 100_000_000
#: what NumPy raises for files that are not what their names say: its headers go through Python's tokenizer and parser
_UNREADABLE = (
    ValueError, EOFError, KeyError, SyntaxError, MemoryError, RuntimeError, NotImplementedError, zipfile.BadZipFile, tokenize.TokenError, zlib.error
)  # fmt: skip
_SAFE_DTYPES = {
    "BOOL": "bool",
    "U8": "u8",
    "I8": "i8",
    "U16": "u16",
    "I16": "i16",
    "U32": "u32",
    "I32": "i32",
    "U64": "u64",
    "I64": "i64",
    "F16": "f16",
    "BF16": "bf16",
    "F32": "f32",
    "F64": "f64",
    "C64": "c64",
}


def read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Every array of a `.npz` or `.safetensors` file, by name; a `.npy` file holds one, named by its stem."""
    path = Path(path)
    try:
        match path.suffix.lower():
            case ".npz":
                return _read_npz(path)
            case ".npy":
                return {path.stem: _read_npy(path)}
            case ".safetensors":
                return read_safetensors(path)
    except OSError as error:
        if isinstance(error, Error):
            raise
        raise FileError(f"cannot read {path}: {error.strerror or error}") from None
    raise FileError(f"{path}: arrays are read from .npz, .npy and .safetensors files, not '{path.suffix}'", code="RLX0604")


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as `.npz` or `.safetensors`; one array as `.npy`."""
    path = Path(path)
    try:
        match path.suffix.lower():
            case ".npz":
                np.savez(path, **{k: np.asarray(v) for k, v in arrays.items()})  # type: ignore[arg-type]
            case ".npy" if len(arrays) == 1:
                np.save(path, next(iter(arrays.values())))
            case ".npy":
                raise FileError(f"{path}: a .npy file holds one array, not {len(arrays)}", code="RLX0604", help="write a .npz file")
            case ".safetensors":
                write_safetensors(path, arrays)
            case _:
                raise FileError(f"{path}: arrays are written as .npz, .npy or .safetensors, not '{path.suffix}'", code="RLX0604")
    except OSError as error:
        if isinstance(error, Error):
            raise
        raise FileError(f"cannot write {path}: {error.strerror or error}") from None


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: array for name in archive.files if isinstance(array := archive[name], np.ndarray)}
    except _UNREADABLE as error:
        raise FileError(f"{path} is not a .npz file of plain arrays: {_one_line(error)}", code="RLX0605") from None


def _read_npy(path: Path) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except _UNREADABLE as error:
        raise FileError(f"{path} is not a .npy file of a plain array: {_one_line(error)}", code="RLX0605") from None
    if not isinstance(array, np.ndarray):
        raise FileError(f"{path} is not a .npy file of a plain array", code="RLX0605")
    return array


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file as read-only views; every offset is checked against the file before it is used."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < 8:
            raise _malformed(path, "it is shorter than its header's length")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    length = int.from_bytes(data[:8], "little")
    if length > min(MAX_HEADER, size - 8):
        raise _malformed(path, f"its header of {length} bytes does not fit")
    try:
        header = json.loads(data[8 : 8 + length].decode("utf-8"))
    except (ValueError, RecursionError):
        raise _malformed(path, "its header is not JSON") from None
    if not isinstance(header, dict):
        raise _malformed(path, "its header is not a JSON object")
    start = 8 + length
    return {name: _tensor(path, data, start, size - start, name, entry) for name, entry in header.items() if name != "__metadata__"}


def _tensor(path: Path, data: mmap.mmap, start: int, available: int, name: str, entry: Any) -> np.ndarray:
    if not isinstance(entry, dict):
        raise _malformed(path, f"the entry of {name!r} is not an object")
    dtype_name, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype_name, str) or dtype_name not in _SAFE_DTYPES:
        raise _malformed(path, f"{name!r} has the dtype {dtype_name!r}, which rlxc does not know")
    if not _are_sizes(shape) or len(shape) > MAX_RANK:
        raise _malformed(path, f"the shape of {name!r} is not a list of sizes")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise _malformed(path, f"the offsets of {name!r} are not two sizes")
    begin, end = offsets
    dtype = DType(_SAFE_DTYPES[dtype_name])
    if not begin <= end <= available:
        raise _malformed(path, f"{name!r} lies outside of the file")
    if end - begin != math.prod(shape) * dtype.size:
        raise _malformed(path, f"{name!r} takes {end - begin} bytes, which is not {dtype}{shape}")
    little = dtype.numpy if dtype == "bf16" else dtype.numpy.newbyteorder("<")
    if end == begin:
        return np.zeros(shape, dtype.numpy)
    return np.frombuffer(data, little, math.prod(shape), start + begin).reshape(shape)


def _are_sizes(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 2**62 for n in value)


def write_safetensors(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Tensors in the order of their names, little endian."""
    names = {ours: theirs for theirs, ours in _SAFE_DTYPES.items()}
    header: dict[str, Any] = {}
    chunks: list[bytes] = []
    offset = 0
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        dtype = array_text(array).partition("[")[0]
        if dtype not in names:
            raise FileError(f"{path}: safetensors has no dtype for {name!r}, {array_text(array)}", code="RLX0604")
        little = array if dtype == "bf16" else array.astype(array.dtype.newbyteorder("<"), copy=False)
        chunk = little.tobytes()
        header[name] = {"dtype": names[dtype], "shape": list(array.shape), "data_offsets": [offset, offset + len(chunk)]}
        chunks.append(chunk)
        offset += len(chunk)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.writelines(chunks)


def _malformed(path: Path, why: str) -> FileError:
    return FileError(f"{path} is not a safetensors file: {why}", code="RLX0605")


def _one_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def has_resources(func: Func) -> bool:
    return any(isinstance(op.attrs.get("value"), Resource) for op in func.ops)


def resolve_resources(func: Func) -> Func:
    """`func` with the constants that are kept in files read; a relative name starts at the folder of the `.rlx` file."""
    if not has_resources(func):
        return func
    files: dict[Path, dict[str, np.ndarray]] = {}
    env: dict[Value, Value] = {}
    ops = []
    for op in func.ops:
        resource = op.attrs.get("value")
        if isinstance(resource, Resource):
            new = make_op(op.prim, (), {**op.attrs, "value": _load(op, resource, files)}, names=[v.name for v in op.results], loc=op.loc)
            env[op.result] = new.result
            ops.append(new)
        else:
            ops.append(op.with_operands(tuple(env.get(v, v) for v in op.operands)))
    return func.with_(ops=tuple(ops), results=tuple(env.get(v, v) for v in func.results))


def _load(op: Op, resource: Resource, files: dict[Path, dict[str, np.ndarray]]) -> Dense:
    path = Path(op.loc.file).parent / resource.file
    try:
        if path not in files:
            files[path] = read_arrays(path)
    except (FileError, MissingExtra) as error:
        raise error.at(op.loc) from None
    arrays = files[path]
    if resource.key not in arrays:
        near = get_close_matches(resource.key, arrays, 1)
        raise FileError(f"{path} holds no array {resource.key!r}", code="RLX0606", loc=op.loc, help=f"did you mean {near[0]!r}?" if near else None)
    array, type_ = arrays[resource.key], op.result.type
    assert isinstance(type_, TensorType)
    if array.dtype.newbyteorder("=") != type_.dtype.numpy or array.shape != type_.shape:
        raise FileError(f"{resource.key!r} of {path} is {array_text(array)}, not {type_}", code="RLX0606", loc=op.loc)
    return Dense(array.reshape(type_.shape), type_)
