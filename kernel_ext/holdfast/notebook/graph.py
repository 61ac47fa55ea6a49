"""A manifest as a Mermaid flowchart: steps and their order, labelled blocks and decisions, what happens on failure."""

from __future__ import annotations

import re

from holdfast.model.manifest import Manifest, Step
from holdfast.notebook.labels import Block, blocks

_WIDTH = 60


def mermaid(manifest: Manifest) -> str:
    """The flowchart as Mermaid text (without a Markdown fence).

    A step is a box, or a frame when it holds ``# @label:`` blocks; a loop is a frame within; a question is a diamond with its yes and no.
    Whole arrows are the order, dotted ones what follows a failure or undoes a step.
    """
    picture = _Picture(manifest)
    return picture.draw()


def escape(text: str) -> str:
    """Text fit for a quoted Mermaid label: no quotes, no markup, no Markdown, on one line."""
    line = " ".join(text.split())
    if len(line) > _WIDTH:
        line = line[: _WIDTH - 1].rstrip() + "…"
    # Mermaid reads entities without the ampersand; '#' first, or it would escape the escapes
    line = line.replace("#", "#35;")
    for char, code in (('"', "quot"), ("<", "lt"), (">", "gt"), ("&", "amp"), ("`", "96"), ("\\", "92"), ("{", "123"), ("}", "125")):
        line = line.replace(char, f"#{code};")
    line = re.sub(r"^(\d+)([.)]) ", r"\1#46; " if line[:3].find(".") > 0 else r"\1#41; ", line)
    line = re.sub(r"^([-*+]) ", lambda m: f"#{ord(m.group(1))}; ", line)
    return line or " "


class _Picture:
    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.lines: list[str] = []
        self.edges: list[str] = []
        self.classes: dict[str, list[str]] = {}
        self.ids: dict[str, str] = {s.name: f"s{n}" for n, s in enumerate(manifest.steps)}
        self.count = 0

    def draw(self) -> str:
        for step in self.manifest.steps:
            self._step(step)
        for step in self.manifest.steps:
            self._order(step)
        if not self.manifest.steps:
            self.lines.append(f'    none["{escape("no code cells")}"]')
        styles = [
            "    classDef question fill:#fff3cd,stroke:#9a6700,color:#222",
            "    classDef undo fill:#fde8e8,stroke:#a33,color:#222,stroke-dasharray:4 3",
            "    classDef skipped fill:#eee,stroke:#888,color:#666",
            "    classDef note fill:none,stroke:none,color:#555,font-size:12px",
        ]
        named = [f"    class {','.join(ids)} {name}" for name, ids in self.classes.items() if ids]
        used = [s for s in styles if s.split()[1] in self.classes]
        return "\n".join(["flowchart TD", *self.lines, *self.edges, *used, *named]) + "\n"

    def _step(self, step: Step) -> None:
        identity = self.ids[step.name]
        inner = [b for c in step.cells for b in blocks(c.source)]
        only = inner[0] if len(inner) == 1 and inner[0].kind == "statement" else None
        if inner and only is None:
            self._frame(step, identity, inner)
        else:
            notes = self._notes(step)
            text = escape(step.name) + (f"<br>({notes})" if notes else "") + (f"<br>{escape(only.label)}" if only else "")
            opening, closing = ('(["', '"])') if step.asset else ('["', '"]')
            self.lines.append(f"    {identity}{opening}{text}{closing}")
        if step.teardown_of is not None:
            self._mark("undo", identity)
        elif step.skip:
            self._mark("skipped", identity)

    def _frame(self, step: Step, identity: str, inner: list[Block]) -> None:
        """A step with blocks inside. Its notes are a box of their own: a title of two lines would lie over the first block."""
        self.lines.append(f'    subgraph {identity}["{escape(step.name)}"]')
        self.lines.append("        direction TB")
        if notes := self._notes(step):
            self.lines.append(f'        {identity}n["{notes}"]')
            self._mark("note", f"{identity}n")
            self.edges.append(f"    {identity}n ~~~ b{self.count + 1}")
        self._sequence(inner, 2)
        self.lines.append("    end")

    def _notes(self, step: Step) -> str:
        notes = [n for n, given in (("asset", step.asset), ("check", step.check), ("always", step.always), ("skip", step.skip)) if given]
        if step.policy.when:
            notes.append(f"when {step.policy.when}")
        if step.policy.retry.count:
            notes.append(f"retry {step.policy.retry.count}×")
        if step.policy.timeout:
            notes.append(f"at most {step.policy.timeout:g} s")
        return escape(", ".join(notes)) if notes else ""

    def _order(self, step: Step) -> None:
        identity = self.ids[step.name]
        if step.teardown_of is not None:
            if step.teardown_of in self.ids:
                self.edges.append(f'    {self.ids[step.teardown_of]} -. "undo" .-> {identity}')
        else:
            self.edges += [f"    {self.ids[a]} --> {identity}" for a in step.after if a in self.ids]
        target = step.policy.on_failure
        if target in self.ids:
            self.edges.append(f'    {identity} -. "on failure" .-> {self.ids[target]}')
        elif target == "continue":
            self.edges += [
                f'    {identity} -. "also on failure" .-> {self.ids[s.name]}'
                for s in self.manifest.steps
                if step.name in s.after and not s.teardown_of
            ]

    # -- blocks inside a step ------------------------------------------------------------------------------------------

    def _sequence(
        self, sequence: list[Block] | tuple[Block, ...], depth: int, entry: list[tuple[str, str]] | None = None
    ) -> list[tuple[str, str]]:
        """Draw blocks one after the other.

        Args:
            sequence: the blocks.
            depth: of indentation.
            entry: (node, text on the arrow) of what leads to the first block.

        Returns:
            the loose ends, in the form of ``entry``.
        """
        ends = list(entry or [])
        for block in sequence:
            identity, out = self._block(block, depth)
            for source, text in ends:
                arrow = f'-- "{text}" -->' if text else "-->"
                self.edges.append(f"    {source} {arrow} {identity}")
            ends = out
        return ends

    def _block(self, block: Block, depth: int) -> tuple[str, list[tuple[str, str]]]:
        """Draw one block; its id and its loose ends."""
        self.count += 1
        identity = f"b{self.count}"
        pad = "    " * depth
        if block.kind == "decision" and (block.label.endswith("?") or block.orelse):
            self.lines.append(f'{pad}{identity}{{"{escape(block.label)}"}}')
            self._mark("question", identity)
            if not block.body and not block.orelse:
                return identity, [(identity, "")]
            yes = self._sequence(block.body, depth, [(identity, "yes")])
            no = self._sequence(block.orelse, depth, [(identity, "no")])
            return identity, [*yes, *no]
        if block.body:
            sign = "↻ " if block.kind == "loop" else "ƒ " if block.kind == "function" else ""
            self.lines.append(f'{pad}subgraph {identity}["{sign}{escape(block.label)}"]')
            self.lines.append(f"{pad}    direction TB")
            self._sequence(block.body, depth + 1)
            self.lines.append(f"{pad}end")
        else:
            opening, closing = {"loop": ('[/"↻ ', '"/]'), "function": ('[["ƒ ', '"]]')}.get(block.kind, ('["', '"]'))
            self.lines.append(f"{pad}{identity}{opening}{escape(block.label)}{closing}")
        return identity, [(identity, "")]

    def _mark(self, name: str, identity: str) -> None:
        self.classes.setdefault(name, []).append(identity)
