"""Where runbooks are served: under which job of which code location, whatever that is called. Told by the event sensor, which runs in
the code location; read by whoever starts runs outside of it (``holdfast launch``, the waker, the gateway)."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
from dagster._core.origin import RepositoryPythonOrigin
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._grpc.server import _get_code_pointer
from dagster._grpc.types import ListRepositoriesResponse
from dagster._grpc.utils import get_loadable_targets
from dagster._serdes import deserialize_value, serialize_value

_log = logging.getLogger("holdfast.dagster")


class ServedAs(msgspec.Struct, frozen=True):
    """How one notebook is served."""

    name: str
    plain: bool  # by Holdfast's own executor: a worker needs nothing of the code location but the notebook


#: Notebook -> job, of the definitions that this process has built.
_jobs: dict[str, ServedAs] = {}
#: What this process has told already: code location -> as written.
_told: dict[str, bytes] = {}


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """One code location, as it is written down. The origins are as Dagster serializes them."""

    repository: str
    code: str | None  # for launchers that start workers without the code server; None: not known
    jobs: dict[str, ServedAs]  # by notebook


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where one notebook is served."""

    job: ServedAs
    origin: RemoteJobOrigin
    code: RepositoryPythonOrigin | None


def note_jobs(jobs: Mapping[Path, str], *, plain: bool) -> None:
    """The definitions that this process serves have these notebooks as jobs of these names; ``plain``: by Holdfast's own executor."""
    _jobs.update({str(path): ServedAs(name, plain) for path, name in jobs.items()})


def tell_location(context: dg.SensorEvaluationContext) -> None:
    """Write down in the instance's folder what the code location of this sensor serves, where that has changed."""
    location, name = context.code_location_origin, context.repository_name
    if location is None or name is None:
        return
    known = _told.get(location.location_name)
    if known is not None and msgspec.json.decode(known, type=Location).jobs == _jobs:
        return
    repository = RemoteRepositoryOrigin(location, name)
    text = msgspec.json.encode(Location(repository=serialize_value(repository), code=_code(location, name), jobs=dict(_jobs)))
    _told[location.location_name] = text
    with contextlib.suppress(OSError):  # a pod may have nowhere to write; then what it starts itself is right, at least
        place = _folder(context.instance) / f"{hashlib.blake2b(location.location_name.encode(), digest_size=8).hexdigest()}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_suffix(f".{os.getpid()}")
        fresh.write_bytes(text)
        fresh.replace(place)


def place_of(instance: dg.DagsterInstance, notebook: Path) -> Place | None:
    """Where the notebook is served; None when no code location has said that it does. The last one to say so counts."""
    for text in [*reversed(_told.values()), *_written(instance)]:
        with contextlib.suppress(msgspec.MsgspecError, dg.DagsterError):
            known = msgspec.json.decode(text, type=Location)
            if (job := known.jobs.get(str(notebook))) is not None:
                code = None if known.code is None else deserialize_value(known.code, RepositoryPythonOrigin)
                repository = deserialize_value(known.repository, RemoteRepositoryOrigin)
                return Place(job=job, origin=RemoteJobOrigin(repository, job.name), code=code)
    return None


def _written(instance: dg.DagsterInstance) -> list[bytes]:
    if instance.is_ephemeral:
        return []
    try:
        files = sorted(_folder(instance).glob("*.json"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
        return [file.read_bytes() for file in files]
    except OSError:
        return []


def _folder(instance: dg.DagsterInstance) -> Path:
    return Path(instance.root_directory) / "holdfast" / "served"


def _code(location: Any, repository: str) -> str | None:
    """How a new process finds the definitions: what a code server says of itself, else what Dagster started it with."""
    try:
        return _code_of(location, repository)
    except Exception as error:  # a code server that cannot reach itself by its own name: what is started is right but for its executor
        _log.warning("how the code location %s is loaded is not known: %s", location.location_name, error)
        return None


def _code_of(location: Any, repository: str) -> str | None:
    if isinstance(location, GrpcServerCodeLocationOrigin):
        answer = deserialize_value(location.create_client().list_repositories(), ListRepositoriesResponse)
        origin = RepositoryPythonOrigin(
            answer.executable_path or "python",
            answer.repository_code_pointer_dict[repository],
            answer.container_image,
            answer.entry_point,
            answer.container_context,
        )
        return serialize_value(origin)
    target = getattr(location, "loadable_target_origin", None)
    if target is None:
        return None
    found = get_loadable_targets(
        python_file=target.python_file,
        module_name=target.module_name,
        package_name=target.package_name,
        autoload_defs_module_name=target.autoload_defs_module_name,
        working_directory=target.working_directory,
        attribute=target.attribute,
        resolve_lazy_defs=False,
    )
    if len(found) != 1:  # several repositories of one code location: Dagster does not say here which one is which
        return None
    return serialize_value(RepositoryPythonOrigin(target.executable_path or sys.executable, _get_code_pointer(target, found[0])))


__all__ = ["Place", "ServedAs", "note_jobs", "place_of", "tell_location"]
