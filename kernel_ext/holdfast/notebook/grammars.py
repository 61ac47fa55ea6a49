"""Grammars that jsonschema, and so nbformat, would build at its import."""

from __future__ import annotations

import sys


def skip_grammars() -> None:
    """Keep jsonschema from building the grammars of the formats "iri" and "iri-reference", which nothing here uses.

    jsonschema imports ``rfc3987_syntax`` when it is there (JupyterLab brings it), and that takes a second or more. To be called before
    jsonschema or nbformat is imported; where the grammars are loaded already, nothing changes.
    """
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # None: `import` says ImportError
