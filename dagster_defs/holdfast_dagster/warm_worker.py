"""What a fork of the warm server does to become a run worker like one that was started afresh."""

from __future__ import annotations

import os
import socket
import sys
import traceback

from holdfast_dagster.warm import Request, default_signals


def become_worker(request: Request, connection: socket.socket, nursery: str) -> None:
    """Wait for the word, run the worker, end the process. Never returns.

    Args:
        nursery: socket of the process that forks kernels.
    """
    code = 1
    try:
        os.setsid()
        default_signals()
        _leave_behind(connection.fileno())
        _outputs(request.log)
        connection.settimeout(30)
        connection.sendall(b'{"pid": %d}\n' % os.getpid())
        if connection.recv(16) == b"go\n":
            connection.close()
            settle_in(request)
            os.environ.setdefault("HOLDFAST_KERNEL_NURSERY", nursery)
            code = _run(list(request.arguments))
        else:
            code = 0  # whoever asked has changed their mind, or is gone
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def settle_in(request: Request) -> None:
    """Take on the environment and the folder of whoever asked."""
    os.environ.clear()
    os.environ.update(request.environment)
    if "TZ" in request.environment:
        import time

        time.tzset()
    os.chdir(request.folder)
    sys.path[0] = request.folder  # as `python -m` does
    sys.argv = ["dagster", *request.arguments]


def _run(arguments: list[str]) -> int:
    from dagster._cli import create_dagster_cli

    try:
        create_dagster_cli().main(  # type: ignore[no-untyped-call]
            args=arguments, prog_name="dagster", standalone_mode=False
        )
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def _leave_behind(kept: int) -> None:
    """Close whatever the server has open, but the connection and the three that every program has."""
    os.closerange(3, kept)
    os.closerange(kept + 1, max(kept + 2, os.sysconf("SC_OPEN_MAX") if os.sysconf("SC_OPEN_MAX") < 65536 else 65536))


def _outputs(log: str) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    os.close(nothing)
