"""A local AWS (moto's server) as a process of its own; its recorder is the truth about what reached it."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs

from holdfast.errors import OperatorError
from holdfast.foundation import clock


class AwsServer:
    """Starts ``moto_server`` on 127.0.0.1.

    Raises:
        OperatorError: HF210 moto is not installed, HF211 it did not start.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._recording = Path(tempfile.mkdtemp(prefix="holdfast-aws-")) / "requests"
        self.port = 0

    @property
    def url(self) -> str:
        """Of every service."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What makes boto3 and the AWS command line use it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def __enter__(self) -> AwsServer:
        program = Path(sys.prefix) / "bin" / "moto_server"
        if not program.exists():
            raise OperatorError("HF210", "moto_server is not installed", cure="Install it: pip install 'moto[server]'.")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        quiet = subprocess.DEVNULL
        self._process = subprocess.Popen(
            [str(program), "-H", "127.0.0.1", "-p", str(self.port)],
            stdout=quiet,
            stderr=quiet,
            env={**os.environ, "MOTO_RECORDER_FILEPATH": str(self._recording)},
            start_new_session=True,
        )
        until = clock.monotonic() + 60
        while clock.monotonic() < until and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                break
            except OSError:
                clock.sleep(0.05)
        else:
            self.__exit__(None, None, None)
            raise OperatorError("HF211", "moto_server did not start", cure="Run it by hand and read what it says.", program=str(program))
        self.reset()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._recording.parent, ignore_errors=True)

    def reset(self) -> None:
        """An empty account, and a new record of requests."""
        self._ask("/moto-api/reset", "POST")
        self.reset_recording()

    def reset_recording(self) -> None:
        """A new record of requests."""
        self._ask("/moto-api/recorder/reset-recording", "POST")
        self._ask("/moto-api/recorder/start-recording", "POST")

    def requests(self) -> list[dict[str, Any]]:
        """Every request as it arrived: ``method``, ``url``, ``body``, ``headers`` …"""
        lines = self._ask("/moto-api/recorder/download-recording", "GET").splitlines()
        found = [json.loads(line) for line in lines if line]
        for one in found:
            if one.pop("body_encoded", False):
                one["body"] = base64.b64decode(one["body"]).decode("utf-8", "replace")
        return found

    def actions(self, name: str) -> list[dict[str, str]]:
        """The parameters of each request of a query-protocol operation (EC2, STS ...), e.g. ``DeleteVolume``."""
        asked = [{k: v[0] for k, v in parse_qs(str(r.get("body") or "")).items()} for r in self.requests()]
        return [one for one in asked if one.get("Action") == name]

    def _ask(self, path: str, method: str) -> bytes:
        request = urllib.request.Request(self.url + path, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bytes(answer.read())
