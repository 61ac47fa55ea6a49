"""The protocol suite for kernels, run on the Holdfast kernel under its own name."""

from __future__ import annotations

from typing import Any

import jupyter_kernel_test
import pytest


@pytest.fixture(scope="module", autouse=True)
def _journal_aside(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("journal")
        patch.setenv("HOLDFAST_JOURNAL", f"sqlite:///{folder}/journal.db")
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        yield


class HoldfastKernelTests(jupyter_kernel_test.KernelTests):
    """What the suite needs to know of a kernel."""

    kernel_name = "holdfast"
    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('test', file=sys.stderr)"
    completion_samples = [{"text": "zi", "matches": {"zip"}}]
    complete_code_samples = ["1", "print('hello, world')", "def f(x):\n  return x*2\n\n\n"]
    incomplete_code_samples = ["print('''hello", "def f(x):\n  x*2"]
    invalid_code_samples = ["import = 7q"]
    code_page_something = "zip?"
    code_generate_error = "raise"
    code_execute_result = [{"code": "1+2+3", "result": "6"}, {"code": "[n*n for n in range(1, 4)]", "result": "[1, 4, 9]"}]
    code_display_data = [
        {"code": "from IPython.display import HTML, display; display(HTML('<b>test</b>'))", "mime": "text/html"},
        {"code": "from IPython.display import Math, display; display(Math('\\\\frac{1}{2}'))", "mime": "text/latex"},
    ]
    code_history_pattern = "1?2*"
    supported_history_operations = ("tail", "search")  # "range" of the running session fails on the plain kernel too
    code_inspect_sample = "zip"
    code_clear_output = "from IPython.display import clear_output; clear_output()"
