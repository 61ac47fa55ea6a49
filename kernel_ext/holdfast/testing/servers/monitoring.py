"""What wakes somebody up, on loopback: Prometheus and Alertmanager where both are installed (Debian: prometheus, prometheus-alertmanager),
else a stand-in that posts as Alertmanager 0.25 does, and again when it was not answered well.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from holdfast.foundation import clock
from holdfast.testing.rehearsal import Alert
from holdfast.testing.servers.standing_in import Came, Said, StandIn

#: Seconds between two looks of everything here: what is minutes elsewhere.
_LOOK = 1
_NEVER = "0001-01-01T00:00:00Z"


class Monitoring:
    """Watches a stage and notifies a webhook, from ``with`` to its end.

    Args:
        folder: for configuration and data.
        alert: what there is to see.
        rules: of Prometheus; the ``for`` of each becomes a second here.
        hook: the address of the webhook.
        token: that it wants.
        real: use the real programs. By default where they are.
    """

    def __init__(self, folder: Path, alert: Alert, rules: Path, hook: str, token: str, *, real: bool | None = None) -> None:
        self._folder, self._alert, self._rules, self._hook, self._token = folder, alert, rules, hook, token
        self.real = find_programs() is not None if real is None else real
        self.url = ""  # of Alertmanager's page
        self._end = contextlib.ExitStack()

    @property
    def story(self) -> str:
        """For whoever watches."""
        if self.real:
            return f"a real Prometheus with {self._rules.name}, and a real Alertmanager: {self.url}"
        return "a stand-in that posts what Alertmanager would (the real ones: apt install prometheus prometheus-alertmanager)"

    def __enter__(self) -> Monitoring:
        with contextlib.ExitStack() as started:
            if self.real:
                self._start_real(started)
            else:
                self._start_standing_in(started)
            self._end = started.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end.close()

    # -- the real ones --------------------------------------------------------------------------------------------------------------

    def _start_real(self, started: contextlib.ExitStack) -> None:
        programs = find_programs()
        if programs is None:
            raise RuntimeError("prometheus and prometheus-alertmanager are not installed")
        prometheus, alertmanager = programs
        webhook = {"url": self._hook, "send_resolved": True, "http_config": {"authorization": {"credentials": self._token}}}
        quick = {"group_wait": f"{_LOOK}s", "group_interval": f"{_LOOK}s", "repeat_interval": "4h"}
        route = {"receiver": "holdfast", "group_by": ["..."], **quick}
        config = self._write("alertmanager.yml", {"route": route, "receivers": [{"name": "holdfast", "webhook_configs": [webhook]}]})
        self.url = started.enter_context(
            _server(alertmanager, self._folder, [f"--config.file={config}", "--cluster.listen-address="], "alertmanager")
        )
        exporter = started.enter_context(_exporter(self._alert.metrics))
        rules = yaml.safe_load(self._rules.read_text())
        for rule in [rule for group in rules["groups"] for rule in group["rules"]]:
            rule["for"] = f"{_LOOK}s"
        target = {"static_configs": [{"targets": [exporter]}]}
        here = {"static_configs": [{"targets": [self.url.partition("//")[2]]}]}
        document = {
            "global": {"scrape_interval": f"{_LOOK}s", "evaluation_interval": f"{_LOOK}s"},
            "rule_files": [str(self._write("alerts.yml", rules))],
            "scrape_configs": [{"job_name": "stage", "honor_labels": True, **target}],
            "alerting": {"alertmanagers": [here]},
        }
        config = self._write("prometheus.yml", document)
        started.enter_context(
            _server(prometheus, self._folder, [f"--config.file={config}", f"--rules.alert.resend-delay={_LOOK}s"], "prometheus", "tsdb")
        )

    def _write(self, name: str, document: Any) -> Path:
        path = self._folder / name
        path.write_text(yaml.safe_dump(document))
        path.chmod(0o600)  # the webhook's token is in one of them
        return path

    # -- the stand-in ---------------------------------------------------------------------------------------------------------------

    def _start_standing_in(self, started: contextlib.ExitStack) -> None:
        over = threading.Event()
        watch = threading.Thread(target=self._watch, args=(over,), daemon=True, name="alertmanager")
        watch.start()
        started.callback(watch.join)
        started.callback(over.set)

    def _watch(self, over: threading.Event) -> None:
        annotations = self._annotations()
        began: float | None = None
        while not over.wait(_LOOK / 4):
            firing = self._alert.firing()
            if firing == (began is not None):
                continue
            moments = (began or clock.now(), None if firing else clock.now())
            if self._tell(notification(self._alert.labels, annotations, *moments), over):
                began = moments[0] if firing else None

    def _tell(self, document: Mapping[str, Any], over: threading.Event) -> bool:
        """Post it until it is taken; False when it never was."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json", "User-Agent": "Alertmanager/0.25.0"}
        request = urllib.request.Request(self._hook, data=json.dumps(document).encode(), headers=headers)
        while not over.wait(_LOOK / 4):
            try:
                urllib.request.urlopen(request, timeout=30).close()
                return True
            except urllib.error.HTTPError as error:
                if error.code < 500:
                    raise RuntimeError(f"the webhook refuses: {error.code} {error.read()!r}") from error
            except OSError:
                continue
        return False

    def _annotations(self) -> dict[str, str]:
        """As Prometheus fills them in."""
        name, labels = self._alert.labels["alertname"], self._alert.labels
        rules = [rule for group in yaml.safe_load(self._rules.read_text())["groups"] for rule in group["rules"]]
        said = next(rule["annotations"] for rule in rules if rule["alert"] == name)
        return {key: re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels.get(found[1], ""), text) for key, text in said.items()}


def find_programs() -> tuple[str, str] | None:
    """Where Prometheus and Alertmanager are; None where one is missing."""
    alertmanager = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    prometheus = shutil.which("prometheus")
    return (prometheus, alertmanager) if prometheus and alertmanager else None


def notification(labels: Mapping[str, str], annotations: Mapping[str, str], began: float, ended: float | None = None) -> dict[str, Any]:
    """What Alertmanager 0.25 posts about one alert, in a group of its own.

    Args:
        began: seconds since the epoch.
        ended: the same; None while it fires.
    """
    status = "firing" if ended is None else "resolved"
    alert = {
        "status": status,
        "labels": dict(labels),
        "annotations": dict(annotations),
        "startsAt": clock.iso(began),
        "endsAt": _NEVER if ended is None else clock.iso(ended),
        "generatorURL": "http://prometheus:9090/graph?g0.expr=x&g0.tab=1",
        "fingerprint": hashlib.sha256(json.dumps(dict(labels), sort_keys=True).encode()).hexdigest()[:16],
    }
    group = "{}:{" + ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"
    common = {"groupLabels": dict(labels), "commonLabels": dict(labels), "commonAnnotations": dict(annotations)}
    rest = {"externalURL": "http://alertmanager:9093", "version": "4", "groupKey": group, "truncatedAlerts": 0}
    return {"receiver": "holdfast", "status": status, "alerts": [alert], **common, **rest}


@contextlib.contextmanager
def _server(program: str, folder: Path, options: Sequence[str], name: str, storage: str = "") -> Any:
    """A program of the Prometheus family on a free port; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = f"--storage.{storage}.path" if storage else "--storage.path"
    words = [program, *options, f"{place}={folder / name}", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        until = clock.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5).close()
                break
            if process.poll() is not None or clock.monotonic() > until:
                raise RuntimeError(f"{name} did not start: {(folder / f'{name}.log').read_text()[-2000:]}")
            clock.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _exporter(metrics: Callable[[], str]) -> Any:
    """Serves ``metrics`` to Prometheus; yields its host and port."""

    class Exporter(StandIn):
        kind = "text/plain; version=0.0.4"

        def answer(self, came: Came) -> Said:
            return Said(document=metrics().encode())

    with Exporter() as exporter:
        yield exporter.url.removeprefix("http://")
