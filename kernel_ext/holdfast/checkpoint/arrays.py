"""NumPy arrays and memory views that look at the same memory are put away as views of one root, so that they still do afterwards."""

from __future__ import annotations

import array
import ctypes
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from holdfast.checkpoint.pickler import ComponentPickler


def bounds(a: Any) -> tuple[int, int]:
    """First address and address after the last of what an ndarray looks at; ``(0, 0)`` when empty."""
    if a.size == 0:
        return 0, 0
    low = high = a.__array_interface__["data"][0]
    for n, stride in zip(a.shape, a.strides, strict=True):
        if stride > 0:
            high += (n - 1) * stride
        else:
            low += (n - 1) * stride
    return low, high + a.itemsize


def address_of(buffer: Any) -> tuple[int, int]:
    """First address and address after the last of an object with the buffer protocol; ``(0, 0)`` when that cannot be told."""
    view = memoryview(buffer)
    if view.nbytes == 0:
        return 0, 0
    try:
        start = ctypes.addressof(ctypes.c_char.from_buffer(view))
    except (TypeError, ValueError):
        numpy = sys.modules.get("numpy")
        if numpy is None:
            return 0, 0
        try:
            return bounds(numpy.asarray(view))
        except (TypeError, ValueError):
            return 0, 0
    return start, start + view.nbytes


def root_of(a: Any) -> Any:
    """The object that owns the memory of an ndarray: an ndarray, a bytearray, an ``array.array``, a mapping …"""
    while a.base is not None:
        base = a.base
        if isinstance(base, memoryview):
            base = base.obj
        if type(base).__name__ == "DummyArray":  # what NumPy's own stride tricks put between
            base = base.base
        if isinstance(base, sys.modules["numpy"].ndarray):
            a = base
            continue
        return base
    return a


CURE = "make it again from the other array"
#: Memory up to this size is kept whole where a view of a part of it is: its ``base`` then holds what it held.
SMALL_BASE = 16 << 10


def _is_rootlike(o: Any) -> bool:
    numpy = sys.modules["numpy"]
    return isinstance(o, numpy.ndarray) and not hasattr(o, "_mask") and not isinstance(o, numpy.memmap)


def find_views(pickler: ComponentPickler) -> dict[int, tuple[Any, int]]:
    """``{id(array): (root, offset)}`` of the arrays whose memory overlaps that of another one in the component."""
    arrays = list({id(a): a for a in pickler.arrays}.values())
    spans = sorted((*bounds(a), k) for k, a in enumerate(arrays))
    spans += [(*address_of(o), -1) for o in {id(o): o for o in pickler.memory}.values()]
    spans.sort()
    overlapping: set[int] = set()
    last_end, last = 0, -1
    for start, end, k in spans:
        if start < last_end:
            overlapping |= {k, last}
        if end > last_end:
            last_end, last = end, k
    found: dict[int, tuple[Any, int]] = {}
    ndarray = sys.modules["numpy"].ndarray
    roots = [root_of(a) for a in arrays]
    overlapping |= {k for k, r in enumerate(roots) if isinstance(r, bytearray | array.array)}
    overlapping |= {
        k for k, r in enumerate(roots) if r is not arrays[k] and type(r) is ndarray and arrays[k].nbytes < r.nbytes <= SMALL_BASE
    }
    written_apart = {id(root) for a, root in zip(arrays, roots, strict=True) if id(a) in pickler.unshared}
    for k in overlapping - {-1}:
        a = arrays[k]
        root = roots[k]
        if root is a or id(a) in pickler.unshared:
            continue
        if id(root) in written_apart and not a.flags.writeable:  # what pandas hands out of a block that it copies before writing
            continue
        if not _is_rootlike(a) or not (_is_rootlike(root) or isinstance(root, bytearray | array.array)):
            pickler.lose(f"an array of type {type(a).__name__} that shares memory with another", CURE)
            continue
        if isinstance(root, ndarray) and not (root.flags.c_contiguous or root.flags.f_contiguous):
            continue
        start = root.__array_interface__["data"][0] if isinstance(root, ndarray) else address_of(root)[0]
        found[id(a)] = (root, a.__array_interface__["data"][0] - start)
    return found


def note_manager(pickler: ComponentPickler, manager: Any) -> Any:
    """Blocks of pandas share memory until one is written to (copy on write). What tracks that does not pickle, so copies are made."""
    for block in manager.blocks:
        if block.refs.has_reference():
            values = block.values
            parts = [values, *(getattr(values, name, None) for name in ("_ndarray", "_data", "_mask", "_codes"))]
            pickler.unshared.update(id(p) for p in parts if p is not None)
    return NotImplemented


def reduce_array(pickler: ComponentPickler, a: Any) -> Any:
    """An ndarray: as a view when it is one, else as NumPy does it (its memory out of band)."""
    pickler.arrays.append(a)
    view = pickler.views.get(id(a))
    if view is not None:
        root, offset = view
        place = (root, a.dtype, a.shape, a.strides, offset, bool(a.flags.writeable))
        if type(a) is sys.modules["numpy"].ndarray:
            return view_of, place
        return subview, (type(a), *place), getattr(a, "__dict__", None) or {}, None, None, fill_subarray
    if hasattr(a, "_mask") and hasattr(a, "_hardmask"):
        made = a.__reduce__()
        return made[0], made[1], (made[2], a._hardmask, a._sharedmask), None, None, fill_masked
    if getattr(a, "__dict__", None) and not hasattr(a, "_mask"):
        return subarray, (type(a), sys.modules["numpy"].array(a, subok=False)), a.__dict__, None, None, fill_subarray
    if a.dtype.hasobject and not a.flags.writeable and type(a) is sys.modules["numpy"].ndarray:
        return read_only, (a.copy(),)
    return NotImplemented


def view_of(root: Any, dtype: Any, shape: Any, strides: Any, offset: int, writeable: bool) -> Any:
    """A view of ``root``'s memory."""
    import numpy

    turned = isinstance(root, numpy.ndarray) and not root.flags.c_contiguous
    if isinstance(root, numpy.ndarray):
        root = root.view(numpy.ndarray) if type(root) is not numpy.ndarray else root
    made: Any = numpy.ndarray(shape, dtype, buffer=root.T if turned else root, offset=offset, strides=strides)
    if not writeable and made.flags.writeable:
        made.flags.writeable = False
    return made


def subview(cls: type, *place: Any) -> Any:
    """A view of a subclass."""
    return view_of(*place).view(cls)


def subarray(cls: type, a: Any) -> Any:
    """An array of a subclass."""
    return a.view(cls)


def fill_subarray(target: Any, attributes: dict[str, Any]) -> None:
    """Its attributes, without what ``__array_finalize__`` put there."""
    if hasattr(target, "__dict__"):
        target.__dict__.clear()
        target.__dict__.update(attributes)


def fill_masked(target: Any, state: tuple[Any, bool, bool]) -> None:
    """A masked array, with the flags that its own protocol leaves out."""
    target.__setstate__(state[0])
    target._hardmask, target._sharedmask = state[1], state[2]


def read_only(a: Any) -> Any:
    """The array, not to be written to."""
    a.flags.writeable = False
    return a


def reduce_memoryview(pickler: ComponentPickler, view: memoryview) -> Any:
    """A memory view of a bytearray, array or bytes, by offset, format and shape."""
    owner = view.obj
    if not isinstance(owner, bytes | bytearray | array.array) or not view.c_contiguous:
        raise pickler.cannot(view, f"a memory view of {type(owner).__name__}")
    pickler.memory.append(owner)
    start, _end = address_of(view) if view.nbytes else (0, 0)
    base = address_of(owner)[0] if view.nbytes else 0
    if view.nbytes and not start:
        if view.nbytes != memoryview(owner).nbytes:
            raise pickler.cannot(view, "a read-only memory view of a part")
        start = base
    readonly = view.readonly and not memoryview(owner).readonly
    return memory_view, (owner, start - base, view.nbytes, view.format, tuple(view.shape or ()), readonly)


def memory_view(owner: Any, offset: int, size: int, code: str, shape: tuple[int, ...], readonly: bool) -> memoryview:
    """A memory view of a part of ``owner``."""
    view = memoryview(owner).cast("B")[offset : offset + size]
    if code != "B" or len(shape) != 1:
        view = view.cast(code, shape)  # type: ignore[call-overload]
    return view.toreadonly() if readonly else view


def spans(pickler: ComponentPickler) -> list[tuple[int, int]]:
    """Stretches of memory that the component's arrays and byte buffers look at."""
    found = [s for a in pickler.arrays if (s := bounds(a))[1]]
    found += [s for o in pickler.memory if (s := address_of(o))[1]]
    return found
