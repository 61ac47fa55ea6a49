"""What ``holdfast up`` itself brings: JupyterLab, the inbox, a worker. Packages add theirs (Dagster)."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from holdfast.config import Config
from holdfast.errors import OperatorError
from holdfast.model.service import Offer, Service


def lab(folder: Path, port: int) -> Service:
    """JupyterLab on the folder, with a token of its own."""
    token = secrets.token_urlsafe(24)
    words = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--notebook-dir={folder}"]
    words += ["--allow-root"] if os.geteuid() == 0 else []
    words += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    words += ["--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]  # loopback only
    at = f"http://127.0.0.1:{port}"
    return Service(
        name="lab",
        command=tuple(words),
        folder=folder,
        port=port,
        url=f"{at}/lab?token={token}",
        ready=f"{at}/api/status?token={token}",
        purpose="notebooks",
    )


def inbox(config: Config, base: Path, port: int) -> Offer:
    """``holdfast serve``: questions, executions, REST; a note in its place where its packages are not installed.

    Args:
        base: the folder whose settings hold.

    Raises:
        OperatorError: HF266, the owner's token cannot be read.
    """
    try:
        import holdfast.gateway.serve  # noqa: F401
        from holdfast.access.tokens import owner_token
    except ImportError as error:
        return Offer(services=(), notes=(f"no inbox: {error} (pip install 'holdfast[gateway]')",))
    at = f"http://127.0.0.1:{port}"
    url = f"{at}/login?token={owner_token(config.state_dir / 'gateway-token')}" if config.policy_file is None else at
    service = Service(
        name="inbox",
        command=(sys.executable, "-m", "holdfast", "serve", "--port", str(port)),
        folder=base,
        port=port,
        url=url,
        ready=f"{at}/readyz",
        purpose="questions to people, executions, REST API",
    )
    return Offer(services=(service,), environment={"HOLDFAST_PUBLIC_URL": config.public_url or at})


def worker(base: Path, *, beside_dagster: bool) -> Service:
    """``holdfast worker``: works on what was started at the inbox, and on whatever nobody else continues."""
    words = (sys.executable, "-m", "holdfast", "worker", *(("--beside-dagster",) if beside_dagster else ()))
    return Service(name="worker", command=words, folder=base, purpose="works on what is started in the inbox")


def require_lab() -> None:
    """Raises ``OperatorError`` HF210 where JupyterLab is not installed."""
    from importlib.util import find_spec

    if find_spec("jupyterlab") is None:
        raise OperatorError("HF210", "JupyterLab is not installed", cure="pip install 'holdfast[lab,gateway,dagster]'")
