"""A failed cell undone: variables and process state back to the last checkpoint, in the same process."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.checkpoint import units
from holdfast.checkpoint.capture import Capturer
from holdfast.checkpoint.report import Flag, Report
from holdfast.checkpoint.restore import Restorer
from holdfast.checkpoint.state import Node, State


def run(state: State, restorer: Restorer, touched: dict[int, Node], everything: bool, changed_patches: Iterable[str]) -> Report:
    """Undo what the failed cell did in memory; ``needs_restart`` when that cannot be done without a new process."""
    report = Report()
    look = Capturer(state, "", touched, everything, True)
    spoiled, new = look.spoiled()
    for name in new:
        state.unload(name)
    for node in spoiled:
        if node.record.holes:
            report.needs_restart = True
            why = f"{node.record.holes[0].type} may have been changed by the failed cell"
            report.flags.append(Flag(sorted(node.units)[0], why, "a new kernel restores it", "HF138"))
            continue
        node.loaded = False
        node.ids = None
    state.process.read()
    for unit in [u for u in state.nodes if units.kind_of(u) == "process"]:
        state.nodes[unit].loaded = False
    for kind in state.process.kinds:
        if units.process_unit(kind) not in state.nodes:
            state.process.reset(kind)
    for address in changed_patches:
        patch = state.nodes.get(units.patch_unit(address))
        if patch is None:
            report.needs_restart = True
            report.flags.append(
                Flag(address.replace("|", "."), "the failed cell set it and what it was is not recorded", "a new kernel has it", "HF138")
            )
        else:
            patch.loaded = False
    again = [n for n in state.all_nodes() if not n.loaded and (n in spoiled or any(u[0] == "<" for u in n.units))]
    report.loaded = restorer.load(again)
    return report
