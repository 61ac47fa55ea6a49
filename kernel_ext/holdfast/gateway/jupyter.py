"""The gateway inside a Jupyter server, under ``/holdfast``, with the identity and the cross-site protection that are there.

The application is called in process. Nothing is opened before the first request, and a server without the gateway's packages
only says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web

if TYPE_CHECKING:
    from holdfast.gateway.guard import App
    from holdfast.gateway.hall import Hall


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "holdfast.gateway.jupyter"}]


def _load_jupyter_server_extension(server: Any) -> None:
    try:
        import fastapi  # noqa: F401
        import sse_starlette  # noqa: F401
    except ImportError as error:
        server.log.info("Holdfast's pages are not here: %s (pip install 'holdfast[gateway]')", error)
        return
    root = url_path_join(server.web_app.settings["base_url"], "holdfast")
    mounted = Mounted(Path(server.root_dir), root)
    server.web_app.add_handlers(".*$", [(f"{root}(?:/.*)?", Bridge, {"mounted": mounted})])
    server.log.info("Holdfast is at %s/", root)


class Mounted:
    """The application, made at the first request.

    Args:
        folder: where the settings are looked for: the server's root.
        root: the path under which it is mounted.
    """

    def __init__(self, folder: Path, root: str) -> None:
        self.folder, self.root = folder, root
        self._lock = asyncio.Lock()
        self._made: tuple[App, Hall] | None = None
        self._watching: asyncio.Future[None] | None = None

    async def get(self) -> tuple[App, Hall]:
        """The application and its hall.

        Raises:
            OperatorError, StoreError: settings or journal cannot be used.
        """
        async with self._lock:
            if self._made is None:
                from holdfast.gateway.app import watch

                self._made = await asyncio.get_running_loop().run_in_executor(None, self._make)
                self._watching = asyncio.ensure_future(watch(self._made[1]))
            return self._made

    def _make(self) -> tuple[App, Hall]:
        from holdfast.config import Config
        from holdfast.gateway.app import create
        from holdfast.gateway.hall import Hall
        from holdfast.journal.opening import open_store

        config = Config.load(folder=self.folder)
        hall = Hall(open_store(config.journal, key_file=config.key_file, key=config.key), config, via="jupyter")
        return create(hall, root=self.root, framed=True), hall


class Bridge(JupyterHandler):
    """Hands a request that Jupyter has let in to the application, and its answer back."""

    auth_resource = "holdfast"

    def initialize(self, mounted: Mounted) -> None:
        """Tornado's constructor."""
        self._mounted = mounted
        self._gone = asyncio.Event()

    @web.authenticated
    @authorized(action="read")  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """Look."""
        await self._serve()

    head = get

    @web.authenticated
    @authorized(action="write")  # type: ignore[untyped-decorator]
    async def post(self) -> None:
        """Act. Tornado has checked the cross-site token already."""
        await self._serve()

    def on_connection_close(self) -> None:
        """The browser went away: whoever streams to it stops."""
        self._gone.set()

    async def _serve(self) -> None:
        from holdfast.errors import HoldfastError

        try:
            app, hall = await self._mounted.get()
        except HoldfastError as error:
            raise web.HTTPError(503, str(error)) from error
        await app(self._scope(hall), self._receiver(), self._send)
        if not self._finished:
            await self.finish()

    def _scope(self, hall: Hall) -> MutableMapping[str, Any]:
        request = self.request
        headers = [(n.lower().encode("latin-1"), v.encode("latin-1")) for n, v in request.headers.get_all()]
        return {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": request.method, "scheme": request.protocol,
            "path": request.path,
            "raw_path": request.path.encode(), "query_string": request.query.encode(),
            "root_path": self._mounted.root,
            "headers": headers, "client": (request.remote_ip, 0), "server": (request.host_name, 0), "holdfast.visit": self._visit(hall),
        }  # fmt: skip

    def _visit(self, hall: Hall) -> Any:
        """Jupyter's person; without a policy, whoever Jupyter lets in is the owner, as with everything else on such a server."""
        from holdfast.access.person import Person
        from holdfast.gateway.signin.identity import Visit

        alone = hall.config.policy_file is None
        name = hall.config.user if alone else self.current_user.username
        person = Person(name=name, how="jupyter", owner=alone)
        return Visit(person=person, ambient=True, place="jupyter", form_token=self.xsrf_token.decode())

    def _receiver(self) -> Any:
        sent = False

        async def receive() -> MutableMapping[str, Any]:
            nonlocal sent
            if not sent:
                sent = True
                return {"type": "http.request", "body": self.request.body, "more_body": False}
            await self._gone.wait()
            return {"type": "http.disconnect"}

        return receive

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.set_status(message["status"])
            self.clear_header("Content-Type")
            seen: set[str] = set()
            for raw, value in message["headers"]:
                name = raw.decode("latin-1")
                if name.lower() in ("content-length", "transfer-encoding"):
                    continue  # tornado's business
                (self.add_header if name in seen else self.set_header)(name, value.decode("latin-1"))
                seen.add(name)
        elif message["type"] == "http.response.body" and not self._gone.is_set():
            if message.get("body"):
                self.write(message["body"])
            if message.get("more_body"):
                await self.flush()
