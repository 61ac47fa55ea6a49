"""Where output notebooks may go, and putting files there."""

from __future__ import annotations

import errno
import glob
import os
import tempfile
from hashlib import blake2b
from pathlib import Path

from holdfast.errors import OperatorError
from holdfast.foundation import faults, process


def require_writable(place: str) -> None:
    """Find out now, not after the first step, whether the output can be written.

    Raises:
        OperatorError: HF252.
    """
    if "://" in place:
        from papermill.iorw import papermill_io

        try:
            papermill_io.get_handler(place)
        except Exception as error:
            raise unwritable(place, str(error)) from error
        return
    path = Path(place)
    if path.is_dir():
        raise unwritable(place, "this is a folder")
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise unwritable(place, f"the folder {folder} does not let you write ({error.strerror})") from error
    if path.exists() and not os.access(path, os.W_OK):
        raise unwritable(place, "the file is not yours to write")


def unwritable(place: str, why: str, cure: str = "Name another place with --output.") -> OperatorError:
    """The error that says so."""
    return OperatorError("HF252", f"the output notebook cannot be written: {why}", cure=cure, file=place)


def put_in_place(path: Path, text: str) -> None:
    """Put ``text`` in the place of ``path`` so that a reader, or a crash, finds the old text or the new, never a part.

    Raises:
        OperatorError: HF252.
    """
    beside = path.with_name(f".{path.name}.{_place()}-{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        faults.point("output.during_write")
        _keep_mode(path, beside)
        os.replace(beside, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        beside.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise unwritable(str(path), "the disk is full", "Make room; the execution can then be resumed.") from error
        raise unwritable(str(path), error.strerror or str(error)) from error


def _keep_mode(old: Path, new: Path) -> None:
    try:
        os.chmod(new, old.stat().st_mode & 0o7777)
    except FileNotFoundError:
        pass


def tidy(path: Path) -> None:
    """Remove what writers of ``path`` that were killed have left beside it."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        place, _, pid = part.name.split(".")[-2].partition("-")
        if place == _place() and pid.isdigit() and process.start_time(int(pid)) is None:
            part.unlink(missing_ok=True)


def _place() -> str:
    """Where this process's id means something: on a shared disk, the pods of one run may all have the id 1."""
    return blake2b(f"{process.host()}\0{process.boot_id()}".encode(), digest_size=4).hexdigest()
