"""A stand-in for PagerDuty's REST and Events APIs on loopback, over TLS (its client takes nothing else), after PagerDuty's documentation.

Events with one dedup key are one alert; a second incident with the key of an open one is refused (400); notes are never the same. Nobody is
called.
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from holdfast.foundation import clock
from holdfast.testing.servers.standing_in import Came, Said, StandIn


class PagerDutyServer(StandIn):
    """Serves on 127.0.0.1; what it knows is the truth about what arrived.

    Args:
        folder: for its certificate (:attr:`ca`, to be trusted through ``SSL_CERT_FILE``).
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.ca = folder / "pagerduty.pem"
        self._key = folder / "pagerduty.key"
        self.reset()

    def reset(self) -> None:
        """As at the beginning."""
        self.alerts: dict[str, list[str]] = {}  # dedup key -> actions
        self.incidents: dict[str, dict[str, Any]] = {"P1": {"id": "P1", "status": "triggered", "title": "web is down", "urgency": "high"}}
        self.notes: dict[str, list[dict[str, Any]]] = {}
        self.refuse = 0  # the next requests are answered 429
        self.requests.clear()

    def __enter__(self) -> Self:
        _certificate(self.ca, self._key)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.ca, self._key)
        return super().__enter__()

    def refusal(self) -> Said:
        return Said(429, {"error": {"message": "Rate Limit Exceeded", "code": 2020}})

    def answer(self, came: Came) -> Said:
        return Said(*self._answer(came.method, came.path, came.query, came.document))

    def _answer(self, method: str, path: str, query: Mapping[str, list[str]], body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        way = path.strip("/").split("/")
        if path == "/v2/enqueue":
            self.alerts.setdefault(body["dedup_key"], []).append(body["event_action"])
            return 202, {"status": "success", "message": "Event processed", "dedup_key": body["dedup_key"]}
        if way[0] == "incidents" and len(way) == 3 and way[2] == "notes":
            notes = self.notes.setdefault(way[1], [])
            if method == "POST":
                notes.append({"id": f"N{len(notes)}", "content": body["note"]["content"], "created_at": clock.iso(clock.now())})
                return 201, {"note": notes[-1]}
            return 200, {"notes": notes}
        if way == ["incidents"]:
            return self._incidents(method, query, body)
        if way[0] == "incidents" and method == "PUT":
            self.incidents[way[1]].update(body["incident"])
            return 200, {"incident": self.incidents[way[1]]}
        return 404, {"error": {"message": "Not Found", "code": 2100}}

    def _incidents(self, method: str, query: Mapping[str, list[str]], body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if method == "POST":
            given = body["incident"]
            if any(one.get("incident_key") == given["incident_key"] for one in self.incidents.values()):
                return 400, {"error": {"message": "Open incident with matching dedup key already exists on this service", "code": 2002}}
            made = {**given, "id": f"P{len(self.incidents) + 1}", "status": "triggered"}
            self.incidents[made["id"]] = made
            return 201, {"incident": made}
        key, statuses = query.get("incident_key"), query.get("statuses[]")
        found = [one for one in self.incidents.values() if (not key or one.get("incident_key") in key)]
        found = [one for one in found if not statuses or one["status"] in statuses]
        return 200, {"incidents": found, "limit": 100, "offset": 0, "more": False}


def _certificate(place: Path, key_place: Path) -> None:
    """A certificate for 127.0.0.1 that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = clock.utc(clock.now())
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    place.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    key_place.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
