"""Reducers for open files and memory-mapped arrays: opened again at the same place, never truncated."""

from __future__ import annotations

import gc
import io
import os
from typing import Any

from holdfast.checkpoint.reducer import Context, Reducer
from holdfast.checkpoint.reducers.standard import standard_stream, stream_named


def _path_of(context: Context, o: Any) -> str:
    name = o.name
    if not isinstance(name, str | bytes | os.PathLike):
        raise context.cannot(o, "it has no path")
    path = os.path.abspath(os.fsdecode(name))
    try:
        if not os.path.samestat(os.fstat(o.fileno()), os.stat(path)):
            raise context.cannot(o, "another file has its path now")
    except OSError as error:
        raise context.cannot(o, f"its path is gone: {error}") from error
    return path


def _text(context: Context, o: Any) -> Any:
    stream = standard_stream(o)
    if stream is not None:
        return stream_named, (stream,)
    if o.closed:
        return closed_text, (o.buffer.raw.name if _is_named(o) else os.devnull, getattr(o, "mode", "r"), o.encoding, o.errors)
    raw = getattr(o.buffer, "raw", None)
    if not isinstance(raw, io.FileIO):
        return _wrapped(context, o)
    path = _path_of(context, o)
    mode = o.mode if isinstance(getattr(o, "mode", None), str) else raw.mode
    if o.writable():
        o.flush()
    try:
        position = o.tell()
    except OSError as error:
        raise context.cannot(o, f"its position cannot be told: {error}") from error
    newline = next((x for x in gc.get_referents(o) if isinstance(x, str) and x in _NEWLINES), None)
    return open_text, (o.name, path, mode, o.encoding, o.errors, newline, o.line_buffering, position)


_NEWLINES = ("", "\n", "\r", "\r\n")


def _wrapped(context: Context, o: Any) -> Any:
    """Text over something that is no file: over the same something again, which may be shared."""
    if o.writable():
        o.flush()
    try:
        position = o.tell() if o.seekable() else None
    except OSError as error:
        raise context.cannot(o, f"its position cannot be told: {error}") from error
    if position is None:
        raise context.cannot(o, f"it wraps {type(o.buffer).__name__}")
    newline = next((x for x in gc.get_referents(o) if isinstance(x, str) and x in _NEWLINES), None)
    settings = (o.encoding, o.errors, newline, o.line_buffering, o.write_through)
    return text_over, (o.buffer, *settings), (position, dict(vars(o)) or None), None, None, seek_text


def text_over(buffer: Any, encoding: str, errors: str, newline: str | None, line_buffering: bool, write_through: bool) -> Any:
    """Text over a binary stream."""
    return io.TextIOWrapper(buffer, encoding, errors, newline, line_buffering, write_through)


def seek_text(target: Any, state: tuple[int, dict[str, Any] | None]) -> None:
    """Where it was."""
    target.seek(state[0])
    if state[1]:
        vars(target).update(state[1])


def _wrapped_parts(o: Any) -> list[Any]:
    return [] if o.closed or isinstance(getattr(o.buffer, "raw", None), io.FileIO) else [o.buffer]


def _is_named(o: Any) -> bool:
    return isinstance(getattr(getattr(o.buffer, "raw", None), "name", None), str)


def closed_text(name: str, mode: str, encoding: str, errors: str) -> Any:
    """A closed text file."""
    made = open(name, mode, encoding=encoding, errors=errors, opener=lambda *_: os.open(os.devnull, os.O_RDWR))
    made.close()
    return made


def closed_binary(name: str, mode: str) -> Any:
    """A closed binary file."""
    made = open(name, mode, opener=lambda *_: os.open(os.devnull, os.O_RDWR))
    made.close()
    return made


def _opener(path: str) -> Any:
    """Opens ``path`` whatever name is asked for, and never truncates or makes it."""
    return lambda _, flags: os.open(path, flags & ~(os.O_TRUNC | os.O_EXCL | os.O_CREAT))


def open_text(name: Any, path: str, mode: str, encoding: str, errors: str, newline: str | None, line_buffering: bool, position: int) -> Any:
    """A text file, opened again where it was."""
    made: Any = open(name, mode, encoding=encoding, errors=errors, newline=newline, opener=_opener(path))
    if made.seekable() and "a" not in mode:
        made.seek(position)
    made.reconfigure(line_buffering=line_buffering)
    return made


def _binary(context: Context, o: Any) -> Any:
    if o.closed:
        name = getattr(getattr(o, "raw", o), "name", os.devnull)
        return closed_binary, (name if isinstance(name, str) else os.devnull, getattr(o, "mode", "rb"))
    raw = getattr(o, "raw", o)
    if not isinstance(raw, io.FileIO):
        raise context.cannot(o, f"it wraps {type(raw).__name__}")
    path = _path_of(context, o)
    if o.writable():
        o.flush()
    return open_binary, (o.name, path, raw.mode, o.tell(), -1 if raw is not o else 0)


def open_binary(name: Any, path: str, mode: str, position: int, buffering: int) -> Any:
    """A binary file, opened again where it was."""
    made = open(name, mode, buffering=buffering, opener=_opener(path))
    if "a" not in mode:
        made.seek(position)
    return made


def _memory_map(context: Context, o: Any) -> Any:
    import numpy

    base = o
    while isinstance(base.base, numpy.memmap):
        base = base.base
    if base is not o or o.filename is None or not o.flags.c_contiguous:
        if o.filename is None:
            return numpy.array, (numpy.asarray(o),)
        raise context.cannot(o, "it is a view of another numpy.memmap")
    if o.mode != "c":
        o.flush()
        return open_memory_map, (os.fspath(o.filename), o.dtype, o.mode, o.offset, o.shape)
    return copy_memory_map, (os.fspath(o.filename), o.dtype, o.offset, o.shape, numpy.array(o))


def open_memory_map(path: str, dtype: Any, mode: str, offset: int, shape: Any) -> Any:
    """A memory-mapped file, never made anew."""
    import numpy

    kind: Any = numpy.memmap
    return kind(path, dtype, "r+" if mode == "w+" else mode, offset, shape)


def copy_memory_map(path: str, dtype: Any, offset: int, shape: Any, contents: Any) -> Any:
    """A copy-on-write map with what was written to it."""
    import numpy

    made: Any = numpy.memmap(path, dtype, "c", offset, shape)
    made[...] = contents
    return made


REDUCERS = [
    Reducer("_io:TextIOWrapper", _text, parts=_wrapped_parts),
    Reducer("_io:BufferedReader", _binary),
    Reducer("_io:BufferedWriter", _binary),
    Reducer("_io:BufferedRandom", _binary),
    Reducer("_io:FileIO", _binary),
    Reducer("numpy:memmap", _memory_map),
    Reducer("numpy.memmap:memmap", _memory_map),
]
