"""A cell that goes through a set must meet its members in the same order after a crash: kernels have a fixed hash seed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from holdfast.engine.cells import spec

KERNELSPEC = Path(__file__).parents[3] / "kernel_ext" / "kernelspec" / "kernel.json"


def test_two_kernel_processes_agree_on_the_order_of_a_set() -> None:
    code = "print(*{'web1', 'web2', 'db1', 'db2', 'cache'})"
    orders = {
        subprocess.run([sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True).stdout
        for environment in (spec().env, json.loads(KERNELSPEC.read_text())["env"], spec().env)
    }
    assert len(orders) == 1
