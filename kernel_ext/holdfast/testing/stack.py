"""``holdfast up`` on a folder of its own, for tests that look at its pages."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from holdfast.foundation import clock

#: Seconds that all services together may take until they are there.
_START = 180.0


class Stack:
    """``holdfast up`` within a ``with``.

    Args:
        base: its working directory; the runbooks are in ``base/runbooks``.
        environment: further environment variables.
    """

    def __init__(self, base: Path, environment: Mapping[str, str]) -> None:
        self.base = base
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HOLDFAST_", "DAGSTER"))}
        self.environment = kept | dict(environment)
        self.said: list[str] = []
        self.url = self.inbox = ""

    def __enter__(self) -> Stack:
        command = [sys.executable, "-m", "holdfast", "up", "--lab-port=0", "--dagster-port=0", "--inbox-port=0"]
        pipe = subprocess.PIPE
        self.program = subprocess.Popen(command, cwd=self.base, env=self.environment, stdout=pipe, stderr=subprocess.STDOUT, text=True)
        threading.Thread(target=self._listen, daemon=True).start()
        deadline = clock.monotonic() + _START
        while not any("all are there" in line for line in self.said):
            if self.program.poll() is not None or clock.monotonic() > deadline:
                self.__exit__()
                raise AssertionError("".join(self.said))
            clock.sleep(0.2)
        self.url, self.inbox = (
            next(m[1] for line in self.said if (m := re.search(rf"{name} is at (\S+)", line))) for name in ("dagster", "inbox")
        )
        return self

    def _listen(self) -> None:
        assert self.program.stdout is not None
        self.said += self.program.stdout

    def __exit__(self, *_: object) -> None:
        self.program.send_signal(signal.SIGTERM)
        try:
            self.program.wait(60)
        except subprocess.TimeoutExpired:
            self.program.kill()

    def holdfast(self, *words: str) -> Any:
        """What the command says, as JSON."""
        command = [sys.executable, "-m", "holdfast", *words, "--json"]
        done = subprocess.run(command, check=False, cwd=self.base, env=self.environment, capture_output=True, text=True, timeout=120)
        assert done.stdout, done.stderr
        return json.loads(done.stdout)
