"""One component to bytes and back: protocol 5, buffers out of band, every reduction of this room applied."""

from __future__ import annotations

import copyreg
import enum
import functools
import gc
import io
import pickle
import sys
import threading
import types
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from holdfast.checkpoint import arrays, caches, classes, functions, graph, identity, library, objects, reach, rebuild, sealing
from holdfast.checkpoint.delta import Hole
from holdfast.checkpoint.reducer import Reducer
from holdfast.checkpoint.space import Space

_DEEP_STACK = 512 << 20
_DEEPEST = 80_000  # levels; what the stack above has room for
Handler = Callable[["ComponentPickler", Any], Any]


class Cannot(Exception):
    """An object that cannot be put away."""


class ComponentPickler(pickle.Pickler):
    """Pickles the values of one component.

    Attributes filled while pickling: ``classes`` (tokens needed), ``mentions`` (names its code may look up), ``holes``, ``losses`` (what
    is not kept), ``arrays`` and ``memory`` (for overlaps).
    """

    def __init__(self, space: Space, reducers: dict[str, Reducer], by_value: frozenset[int], views: dict[int, tuple[Any, int]]) -> None:
        self.stream = io.BytesIO()
        self.buffers: list[pickle.PickleBuffer] = []
        super().__init__(self.stream, protocol=5, buffer_callback=self.buffers.append)  # returns None: out of band
        self.space, self.reducers, self.by_value, self.views = space, reducers, by_value, views
        self.classes: set[str] = set()
        self.mentions: set[str] = set()
        self.stores: set[str] = set()
        self._chosen: dict[type, Handler | None] = {}
        self.holes: list[Hole] = []
        self.losses: list[tuple[str, str]] = []
        self.arrays: list[Any] = []
        self.memory: list[Any] = []
        self.nans: dict[int, Any] = {}  # NaN objects met, by id
        self.unshared: set[int] = set()  # arrays that only seem to share memory
        self.fragile = False  # a hash may need what is not there yet when the object is put into a set
        self.unproven: set[type] = set()  # library types of which no instance was loaded yet

    # -- what reductions may say

    def mention(self, code: types.CodeType) -> None:
        """The component's code may look up these names."""
        self.mentions |= reach.names_in(code)
        self.stores |= reach.attributes_stored(code)

    def lose(self, what: str, cure: str) -> None:
        """``what`` will not be there after a restore."""
        self.losses.append((what, cure))

    def cannot(self, o: Any, why: str) -> Exception:
        """The error that makes ``o`` a hole."""
        return Cannot(f"{type(o).__module__}.{type(o).__qualname__}: {why}")

    # -- the hook of the C pickler

    def reducer_override(self, o: Any) -> Any:
        cls = type(o)
        handler = _HANDLERS.get(cls, _UNKNOWN)
        if handler is _UNKNOWN:
            handler = self._chosen.get(cls, _UNKNOWN)
            if handler is _UNKNOWN:
                handler = self._choose(cls)
        if handler is None:
            return NotImplemented
        try:
            return handler(self, o)
        except Cannot as error:
            return self.hole(o, str(error))

    def hole(self, o: Any, why: str) -> Any:
        """Leave a numbered hole where ``o`` is."""
        self.holes.append(Hole(f"{type(o).__module__}.{type(o).__qualname__}", why[:300]))
        return rebuild.hole, (len(self.holes) - 1,)

    def _choose(self, cls: type) -> Handler | None:
        """The handler of a type seen for the first time; remembered for importable types."""
        handler, lasting = self._classify(cls)
        (_HANDLERS if lasting else self._chosen)[cls] = handler
        return handler

    def _classify(self, cls: type) -> tuple[Handler | None, bool]:
        if issubclass(cls, type):
            return classes.reduce_class, not self.space.is_user_class(cls)
        numpy = sys.modules.get("numpy")
        user = self.space.is_user_class(cls)
        reducer = library.find(self.reducers, cls, user)
        if reducer is not None:
            return (reducer.reduce), False
        if issubclass(cls, enum.Enum):
            return classes.reduce_member, not user
        if issubclass(cls, BaseException):
            return objects.reduce_exception, not user
        if numpy is not None and issubclass(cls, numpy.ndarray):
            return arrays.reduce_array, not user
        if user:
            if objects.is_plain(cls):
                return None, False
            if objects.can_reduce(cls):
                return objects.reduce_instance, False
            return library.reduce_generic, False
        if cls.__module__ == "pandas.core.internals.managers":
            return arrays.note_manager, True
        if cls in copyreg.dispatch_table:
            return None, False
        if library.is_trusted(cls):
            return None, True
        return library.reduce_generic, True


_UNKNOWN: Any = object()


class IdentityPickler(ComponentPickler):
    """Keeps the identity of NaN objects too, and secrets out of texts; slower, because it is asked about every object."""

    def persistent_id(self, o: Any) -> Any:
        if type(o) is float and o != o:
            return identity.name_of(o, self.nans)
        return sealing.sealed(o)


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: Any, buffers: Sequence[Any]) -> None:
        super().__init__(stream, buffers=buffers)
        self._nans = identity.Nans()

    def persistent_load(self, pid: Any) -> Any:
        return sealing.unsealed(pid) if sealing.is_sealed(pid) else self._nans.load(pid)


def _reduce_sentinel(pickler: ComponentPickler, o: object) -> Any:
    return rebuild.sentinel, ()


def _reduce_mapping_view(pickler: ComponentPickler, o: Any) -> Any:
    kind = {"dict_keys": "keys", "dict_values": "values", "dict_items": "items", "mappingproxy": "mappingproxy"}
    owner = gc.get_referents(o)[0]
    return rebuild.view_of, (kind[type(o).__name__.replace("odict", "dict")], owner)


def _reduce_weak_reference(pickler: ComponentPickler, o: weakref.ref[Any]) -> Any:
    target = o()
    if target is None:
        return rebuild.dead_reference, ()
    return rebuild.weak_reference, (target, o.__callback__)


def _reduce_proxy(pickler: ComponentPickler, o: Any) -> Any:
    target = graph.proxied(o)
    if target is None:
        return rebuild.dead_proxy, ()
    return weakref.proxy, (target,)


def _reduce_weak_method(pickler: ComponentPickler, o: Any) -> Any:
    method = o()
    return (rebuild.dead_reference, ()) if method is None else (weakref.WeakMethod, (method,))


def _reduce_property(pickler: ComponentPickler, o: property) -> Any:
    return property, (o.fget, o.fset, o.fdel, o.__doc__)


def _reduce_wrapped(pickler: ComponentPickler, o: Any) -> Any:
    return type(o), (o.__func__,)


def _reduce_weak_dictionary(pickler: ComponentPickler, o: Any) -> Any:
    return type(o), (dict(o.items()),)


def _reduce_weak_set(pickler: ComponentPickler, o: Any) -> Any:
    return type(o), (list(o),)


def _reduce_dict_iterator(pickler: ComponentPickler, o: Any) -> Any:
    owner = next((r for r in gc.get_referents(o) if isinstance(r, dict)), None)
    if owner is None:
        return iter, ((),)
    kind = {"dict_keyiterator": "keys", "dict_valueiterator": "values", "dict_itemiterator": "items"}[type(o).__name__]
    return rebuild.dict_iterator, (owner, kind, len(owner) - o.__length_hint__())


_HANDLERS: dict[type, Handler | None] = {
    types.FunctionType: functions.reduce_function,
    types.CellType: functions.reduce_cell,
    types.CodeType: functions.reduce_code,
    types.MethodType: functions.reduce_method,
    types.ModuleType: functions.reduce_module,
    object: _reduce_sentinel,
    type: classes.reduce_class,
    property: _reduce_property,
    classmethod: _reduce_wrapped,
    staticmethod: _reduce_wrapped,
    memoryview: arrays.reduce_memoryview,
    weakref.ref: _reduce_weak_reference,
    weakref.WeakValueDictionary: _reduce_weak_dictionary,
    weakref.WeakKeyDictionary: _reduce_weak_dictionary,
    weakref.WeakSet: _reduce_weak_set,
    weakref.WeakMethod: _reduce_weak_method,
    weakref.ProxyType: _reduce_proxy,
    weakref.CallableProxyType: _reduce_proxy,
    functools._lru_cache_wrapper: caches.reduce_lru_cache,
    types.MappingProxyType: _reduce_mapping_view,
    type({}.keys()): _reduce_mapping_view,
    type({}.values()): _reduce_mapping_view,
    type({}.items()): _reduce_mapping_view,
    type(iter({}.keys())): _reduce_dict_iterator,
    type(iter({}.values())): _reduce_dict_iterator,
    type(iter({}.items())): _reduce_dict_iterator,
}


class _Special:
    """Pickles as a dict that is referred to, never copied; its place in the memo is then given to that dict."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild.special, (self.key,)


def dump(
    space: Space,
    reducers: dict[str, Reducer],
    values: Sequence[Any],
    by_value: frozenset[int] = frozenset(),
    specials: dict[int, tuple[str, Any]] | None = None,
) -> ComponentPickler:
    """Pickle ``values`` as one component.

    Args:
        by_value: ids of the user classes that this component defines.
        specials: dicts met in it that are referred to, never copied.
    """
    pickler = _attempt(ComponentPickler, space, reducers, values, by_value, {}, specials)
    stream = pickler.stream.getvalue()
    kind = IdentityPickler if identity.may_hold_nan(stream) or sealing.may_hold_secret(stream) else ComponentPickler
    views: dict[int, tuple[Any, int]] = {}
    if pickler.arrays and (len(pickler.arrays) + len(pickler.memory) > 1 or pickler.arrays[0].base is not None):
        views = arrays.find_views(pickler)
    if views or kind is not ComponentPickler:
        shared = [loss for loss in pickler.losses if loss[1] == arrays.CURE]
        pickler = _attempt(kind, space, reducers, values, by_value, views, specials)
        pickler.losses += shared
    pickler.clear_memo()  # it holds every object
    # with a hole in it it is made by replay, and half-made objects may do harm when they go
    if pickler.unproven and not pickler.holes and not prove(space, pickler):
        return dump(space, reducers, values, by_value, specials)
    if pickler.fragile and not pickler.holes:
        try_out(space, pickler)
    return pickler


def prove(space: Space, pickler: ComponentPickler) -> bool:
    """Load once what holds types never loaded before; types that fail are holes from then on."""
    try:
        try_out(space, pickler)
    except Exception:  # whatever a library's own protocol raises
        foreign = {t for t in pickler.unproven if t.__module__.partition(".")[0] not in sys.stdlib_module_names}
        library.BROKEN.update(foreign or pickler.unproven)
        return False
    library.PROVEN.update(pickler.unproven)
    return True


def try_out(space: Space, pickler: ComponentPickler) -> None:
    """Load a component and forget it. Raises whatever a restore would."""
    trial = Space(space.namespace)
    trial.trial = True
    trial.resolve = lambda token: None if space.known(token) is None else trial.bind(token, space.cls(token))
    load(trial, pickler.stream.getvalue(), [b.raw() for b in pickler.buffers])


def _attempt(
    kind: type[ComponentPickler],
    space: Space,
    reducers: dict[str, Reducer],
    values: Sequence[Any],
    by_value: frozenset[int],
    views: dict[int, tuple[Any, int]],
    specials: dict[int, tuple[str, Any]] | None,
) -> ComponentPickler:
    pickler = kind(space, reducers, by_value, views)
    try:
        _dump(pickler, values, specials)
    except RecursionError:
        pickler = kind(space, reducers, by_value, views)
        _deeply(lambda: _dump(pickler, values, specials))
    return pickler


def _dump(pickler: ComponentPickler, values: Sequence[Any], specials: dict[int, tuple[str, Any]] | None) -> None:
    if specials:
        marks = [_Special(key) for key, _ in specials.values()]
        pickler.dump(marks)
        memo = pickler.memo.copy()
        for mark, (_, target) in zip(marks, specials.values(), strict=True):
            memo[id(target)] = (memo.pop(id(mark))[0], target)
        pickler.memo = memo
    pickler.dump(tuple(values))


def _deeply(action: Callable[[], None]) -> None:
    """Run ``action`` in a thread with room for very deep recursion."""
    failure: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:  # handed to the caller below
            failure.append(error)

    limit, size = sys.getrecursionlimit(), threading.stack_size(_DEEP_STACK)
    sys.setrecursionlimit(max(limit, _DEEPEST))
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        sys.setrecursionlimit(limit)
        threading.stack_size(size)
    if failure:
        raise failure[0]


def load(space: Space, stream: Any, buffers: Sequence[Any]) -> tuple[Any, ...]:
    """The values of a component."""
    with space.current():
        unpickler = _Unpickler(io.BytesIO(stream), buffers)
        first = unpickler.load()
        return unpickler.load() if isinstance(first, list) else first  # type: ignore[no-any-return]


def unpicklable(space: Space, reducers: dict[str, Reducer], why: str) -> ComponentPickler:
    """A component of which nothing can be put away: one hole."""
    pickler = ComponentPickler(space, reducers, frozenset(), {})
    pickler.dump(())
    pickler.holes.append(Hole("component", why))
    return pickler
