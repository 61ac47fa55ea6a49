"""The notebook of an execution with its recorded outputs, for eyes that must not be tricked by what a runbook displayed."""

from __future__ import annotations

from html import escape
from typing import Any, Final

from holdfast.executions.evidence import evidence
from holdfast.executions.rendering import cell_html
from holdfast.gateway.asker import Asker
from holdfast.model.execution import Execution

#: For pages that show outputs: no script, no form, no origin, nothing from elsewhere.
SANDBOXED: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self' data:; frame-ancestors 'self'"

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; margin: .5rem; overflow-wrap: anywhere; }
pre { background: var(--soft); padding: .5rem .7rem; border-radius: 4px; white-space: pre-wrap; margin: .3rem 0; font-size: .85rem; }
pre.output { background: none; border-left: 3px solid var(--line); border-radius: 0; } pre.error { border-left-color: #c33; }
iframe { border: 1px solid var(--line); width: 100%; height: 16rem; background: #fff; }
img { max-width: 100%; } table { border-collapse: collapse; } td, th { border: 1px solid var(--line); padding: .2rem .5rem; }
"""


def notebook_of(asker: Asker, header: Execution) -> dict[str, Any]:
    """The nbformat document as they may see it.

    Raises:
        LookupFailedError: HF604. StoreError.
    """
    found: dict[str, Any] = asker.veil(header)(evidence(asker.hall.store, header, []).notebook)
    return found


def page_of(notebook: dict[str, Any]) -> str:
    """That document as HTML."""
    cells = "\n".join(cell_html(c) for c in notebook["cells"]) or "<p>Nothing yet.</p>"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Outputs</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{escape(_STYLE, quote=False)}</style></head><body><main>{cells}</main></body></html>"
    )
