"""A server that counts its effects in a file, so that a test can ask the far side what happened. Run as a script: PORT-FILE LOG-FILE.

``POST /do/NAME`` has an effect each time; ``POST /once/NAME`` once per Idempotency-Key; ``GET /read/NAME`` none; ``GET /done/NAME``
tells how often NAME was done.
"""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

PORT_FILE, LOG = sys.argv[1:3]
done: dict[str, int] = {}
keys: set[str] = set()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        what, name = self.path.strip("/").split("/")
        if what == "read":
            self.log_effect("read", name, False)
        self.reply({"name": name, "times": done.get(name, 0)})

    def do_POST(self) -> None:
        what, name = self.path.strip("/").split("/")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        key = self.headers.get("Idempotency-Key", "")
        effect = what == "do" or key not in keys
        keys.add(key)
        if effect:
            done[name] = done.get(name, 0) + 1
        self.log_effect(what, name, effect, body=body, key=key)
        self.reply({"name": name, "times": 1})

    def log_effect(self, what: str, name: str, effect: bool, **more: str) -> None:
        fd = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, (json.dumps({"what": what, "name": name, "effect": effect, **more}) + "\n").encode())
        os.close(fd)

    def reply(self, document: object) -> None:
        data = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", 0), Handler)
    with open(PORT_FILE + ".new", "w") as file:
        file.write(str(server.server_port))
    os.rename(PORT_FILE + ".new", PORT_FILE)
    server.serve_forever()
