"""Read a notebook file, whatever its state, into cells with stable ids; or say in one line why it cannot be read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from holdfast.errors import AuthorError, LookupFailedError

#: Larger files are refused: a notebook of this size carries outputs that belong elsewhere. Bytes.
MAX_BYTES = 256 * 1024 * 1024

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class NotebookCell(msgspec.Struct, frozen=True, kw_only=True):
    """A cell of any type as the file holds it."""

    id: str  # unique in the notebook; made from the source where the file has none
    index: int  # position in the notebook, from 0
    type: str  # "code", "markdown" or "raw"
    source: str  # lines end in "\n"
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}
    outputs: int = 0  # how many outputs the file holds for it

    @property
    def digest(self) -> str:
        """The digest of the source, see :func:`source_digest`."""
        return source_digest(self.source)


class Notebook(msgspec.Struct, frozen=True, kw_only=True):
    """A notebook as read."""

    name: str  # the file's name without folder and ending
    path: str | None  # absolute; None when it came as text
    cells: tuple[NotebookCell, ...]
    metadata: dict[str, Any]
    content: dict[str, Any]  # the whole document in nbformat 4.5 form, every cell with its id

    @property
    def code_cells(self) -> tuple[NotebookCell, ...]:
        """The code cells, in order."""
        return tuple(c for c in self.cells if c.type == "code")

    @property
    def language(self) -> str:
        """The language of the kernel, lower case; ``python`` when the file does not say."""
        spec, info = self.metadata.get("kernelspec"), self.metadata.get("language_info")
        for place, key in ((info, "name"), (spec, "language")):
            name = place.get(key) if isinstance(place, dict) else None
            if isinstance(name, str) and name:
                return "python" if name.lower() in ("python", "python3", "ipython", "ipython3") else name.lower()
        return "python"

    def text(self) -> str:
        """The document as JSON text with every id in place: what an execution pins."""
        return json.dumps(self.content, ensure_ascii=False, indent=1, sort_keys=True) + "\n"

    def node(self) -> Any:
        """A fresh ``nbformat.NotebookNode`` of the document, for nbformat, nbclient and papermill."""
        import nbformat

        return nbformat.from_dict(json.loads(json.dumps(self.content)))  # type: ignore[no-untyped-call]


def source_digest(source: str) -> str:
    """BLAKE2b-128 of a cell's source, as 32 hex digits.

    Line ends and white space at the end of the cell do not count: front-ends add and strip those without the author's doing.
    White space anywhere else counts, it may stand inside a string.
    """
    text = source.replace("\r\n", "\n").replace("\r", "\n").rstrip()
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def read(source: str | bytes | Path | Mapping[str, Any], *, name: str | None = None) -> Notebook:
    """Read a notebook.

    Args:
        source: a path; or the document itself, as text or bytes (recognised by its opening brace) or as a mapping (a ``NotebookNode``).
        name: the runbook's name; by default the file's name without folder and ending.

    Raises:
        LookupFailedError: HF605, there is no such file.
        AuthorError: HF101, it is not a notebook that can be read (a folder, damaged JSON, another encoding, an old format, too large).
    """
    path: Path | None = None
    if isinstance(source, Mapping):
        document: Any = json.loads(json.dumps(source))
    elif isinstance(source, bytes):
        document = _parse(source, None)
    elif isinstance(source, str) and source.lstrip("\ufeff \t\r\n").startswith("{"):
        document = _parse(source.encode("utf-8", "surrogatepass"), None)
    else:
        path = Path(source).expanduser()
        document = _parse(_load(path), path)
    _require_v4(document, path)
    return _build(document, path, name or (path.stem if path else "notebook"))


def _refuse(what: str, cure: str, path: Path | None, **where: Any) -> NoReturn:
    raise AuthorError("HF101", what, cure=cure, file=str(path) if path else None, **where) from None


def _load(path: Path) -> bytes:
    try:
        if path.is_dir():
            _refuse("this is a folder, not a notebook", "name the .ipynb file inside it", path)
        if path.exists() and not path.is_file():  # reading a pipe would wait for ever
            _refuse("this is no ordinary file", "name a notebook (.ipynb)", path)
        size = path.stat().st_size
        if size > MAX_BYTES:
            cure = "clear its outputs (jupyter nbconvert --clear-output --inplace) and keep large results in files"
            _refuse(f"the file has {size / 2**20:.0f} MiB, more than the {MAX_BYTES // 2**20} MiB that are read", cure, path)
        return path.read_bytes()
    except FileNotFoundError:
        raise LookupFailedError("HF605", "no such notebook", cure=_neighbours(path), file=str(path)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        _refuse(f"the file cannot be read ({reason})", "check its path and permissions", path)


def _neighbours(path: Path) -> str:
    """The cure for a missing file: what lies there with a like name."""
    import difflib

    if path.is_symlink():
        return f"it is a link to {path.readlink()}, which is not there: mend or remove it"
    try:
        there = sorted(p.name for p in path.parent.glob("*.ipynb"))
    except (OSError, ValueError):
        there = []
    near = difflib.get_close_matches(path.name.removesuffix(".ipynb"), [n.removesuffix(".ipynb") for n in there], n=1)
    return f"did you mean '{near[0]}.ipynb'?" if near else "check the path"


def _parse(data: bytes, path: Path | None) -> Any:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        _refuse("the file is UTF-16; a notebook is UTF-8", "save it again as UTF-8", path)
    try:
        text = data.decode("utf-8-sig", "surrogatepass" if path is None else "strict")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        _refuse(f"byte {error.start} is not UTF-8", "save it again as UTF-8", path, line=line)
    if not text.strip():
        _refuse("the file is empty", "open it in Jupyter once, or write a notebook first", path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        conflict = re.search(r"^(<{7}|={7}|>{7})", text, re.MULTILINE)
        cure = "it holds the marks of an unfinished merge: resolve it" if conflict else "mend the JSON there, or restore an earlier version"
        _refuse(f"not valid JSON: {error.msg}", cure, path, line=error.lineno, column=error.colno)
    except (RecursionError, ValueError) as error:
        _refuse(f"not valid JSON: {type(error).__name__}", "restore an earlier version of the file", path)


def _require_v4(document: Any, path: Path | None) -> None:
    if not isinstance(document, dict):
        _refuse("the JSON is no notebook: its top level is not an object", "name a Jupyter notebook (.ipynb)", path)
    version = document.get("nbformat")
    if version is None and "cells" not in document:
        _refuse("the JSON is no notebook: it has no 'nbformat' and no 'cells'", "name a Jupyter notebook (.ipynb)", path)
    if "worksheets" in document or (isinstance(version, int) and version < 4):
        _refuse(f"the notebook is in the old format {version}", "convert it: jupyter nbconvert --to notebook --inplace FILE", path)
    if not isinstance(version, int) or version != 4:
        _refuse(f"the notebook format is {version!r}; 4 is what can be read", "save it as nbformat 4", path)
    if not isinstance(document.get("cells"), list):
        _refuse("'cells' is not a list", "restore an earlier version of the file", path)


def _build(document: dict[str, Any], path: Path | None, name: str) -> Notebook:
    seen: set[str] = set()
    made: dict[str, int] = {}
    cells = tuple(_cell(raw, index, seen, made, path) for index, raw in enumerate(document["cells"]))
    metadata = document.get("metadata")
    document["metadata"] = metadata = metadata if isinstance(metadata, dict) else {}
    minor = document.get("nbformat_minor")
    document["nbformat_minor"] = max(5, minor) if isinstance(minor, int) else 5
    where = str(path.absolute()) if path else None
    return Notebook(name=name, path=where, cells=cells, metadata=metadata, content=document)


def _cell(raw: Any, index: int, seen: set[str], made: dict[str, int], path: Path | None) -> NotebookCell:
    """One cell; completes ``raw`` in place so that the document stays in step."""
    if not isinstance(raw, dict) or raw.get("cell_type") not in ("code", "markdown", "raw"):
        _refuse(f"cell {index} is no code, markdown or raw cell", "restore an earlier version of the file", path, cell=index)
    source = raw.get("source", "")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        _refuse(f"the source of cell {index} is no text", "restore an earlier version of the file", path, cell=index)
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    if any("\ud800" <= c <= "\udfff" for c in source):
        _refuse(f"the source of cell {index} holds half a character (a lone surrogate)", "type the character anew", path, cell=index)
    metadata = raw.get("metadata") if isinstance(raw.get("metadata"), dict) else {}
    tags = metadata.get("tags", []) if metadata else []
    tags = [tags] if isinstance(tags, str) else tags if isinstance(tags, list) else []
    kind = str(raw["cell_type"])
    identity = raw.get("id")
    if not (isinstance(identity, str) and _ID.fullmatch(identity) and identity not in seen):
        identity = _made_id(source, seen, made)
    seen.add(identity)
    raw.update(id=identity, source=source, metadata=metadata)
    outputs = raw.get("outputs")
    if kind == "code":
        raw.setdefault("execution_count", None)
        raw["outputs"] = outputs = outputs if isinstance(outputs, list) else []
    return NotebookCell(
        id=identity,
        index=index,
        type=kind,
        source=source,
        tags=tuple(t.strip() for t in tags if isinstance(t, str)),
        metadata=metadata or {},
        outputs=len(outputs) if isinstance(outputs, list) else 0,
    )


def _made_id(source: str, seen: set[str], made: dict[str, int]) -> str:
    """An id from the source and its occurrence, so that a cell put in above does not rename those below it."""
    digest = source_digest(source)
    while True:
        n = made[digest] = made.get(digest, 0) + 1
        identity = hashlib.blake2b(f"{digest}#{n}".encode(), digest_size=4).hexdigest()
        if identity not in seen:
            return identity
