"""Runs one command so that it, its output and its exit status outlive the kernel that asked for it.

Started detached as ``python -ISE supervisor.py FOLDER NOTIFY_FD`` and written for a fast start: built-in modules only, nothing of
Holdfast. The folder:

``spec``
    what to run, marshalled (written by the kernel; environment, working directory and stdin are inherited, never written down).
``in``
    what the command reads from its standard input, when it was given; unlinked once open.
``start``
    the claim. Whoever links this name first decides: the supervisor just before it forks the command, or a later kernel that
    wants to be sure the command never started ("void"). The supervisor holds a lock on it as long as it lives. It is not synced:
    after a power cut its absence proves nothing, and the kernel knows that (see ``Supervised.origin``).
``out``
    frames of one byte stream (0 the command's pid, 1 stdout, 2 stderr), four bytes length (little endian), data.
``end``
    marshalled: exit status, or the error of starting, and how long ``out`` is. It appears at once, and is synced right after.
"""

from __future__ import annotations

import errno
import fcntl
import marshal
import os
import select
import signal
import sys

PID, STDOUT, STDERR = 0, 1, 2
CHUNK = 1 << 16
VOID = b"void"
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)


def claim(folder: str, content: bytes) -> int | None:
    """Make ``folder/start`` with ``content`` and keep it locked; None when it is there already."""
    temporary = f"{folder}/start.{os.getpid()}"
    fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(fd, content)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.link(temporary, f"{folder}/start")
    except FileExistsError:
        os.close(fd)
        return None
    finally:
        os.unlink(temporary)
    return fd


def sync(folder: str) -> None:
    """Make the names in ``folder`` durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class Output:
    """The file of frames, and the pipe that wakes the kernel."""

    def __init__(self, folder: str, notify: int) -> None:
        self.fd = os.open(f"{folder}/out", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.notify, self.lost = notify, 0
        if notify >= 0:
            os.set_blocking(notify, False)
            os.set_inheritable(notify, False)

    def write(self, stream: int, data: bytes) -> None:
        """One frame. A full disk must not stop the command: what cannot be kept is counted."""
        if not self.lost:
            before = os.fstat(self.fd).st_size
            view = memoryview(bytes((stream,)) + len(data).to_bytes(4, "little") + data)
            try:
                while view:
                    view = view[os.write(self.fd, view) :]
            except OSError:
                os.ftruncate(self.fd, before)
                self.lost = len(data)
        else:
            self.lost += len(data)
        self.wake()

    def wake(self) -> None:
        if self.notify >= 0:
            try:
                os.write(self.notify, b".")
            except OSError as e:
                if e.errno != errno.EAGAIN:  # the kernel is gone; the file is what counts
                    self.notify = -1


def start(spec: dict[str, object], folder: str) -> tuple[int, dict[int, int], OSError | None]:
    """Fork the command. Returns its pid, the descriptors to read from with their streams, and why it could not be executed."""
    said_read, said_write = os.pipe()  # close-on-exec: an end of file here means that the command runs
    stdin = os.open(f"{folder}/in", os.O_RDONLY) if spec["stdin"] == "data" else -1
    streams: dict[int, int] = {}
    inner: tuple[int, int] | None = None
    if spec["mode"] == "pty":
        pid, master = os.forkpty()
        streams = {master: STDOUT}
    else:
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe() if spec["mode"] == "separate" else (-1, out_write)
        streams = {out_read: STDOUT} | ({err_read: STDERR} if err_read >= 0 else {})
        inner = (out_write, err_write)
        pid = os.fork()
    if pid == 0:
        _become(spec, stdin, inner, said_write)
    for fd in {said_write, *([stdin] if stdin >= 0 else []), *(inner or ())}:
        os.close(fd)
    said = os.read(said_read, 64)
    os.close(said_read)
    return pid, streams, OSError(int(said), os.strerror(int(said))) if said else None


def _become(spec: dict[str, object], stdin: int, inner: tuple[int, int] | None, said: int) -> None:
    """In the child: become the command; never returns."""
    try:
        if inner is None:
            import termios

            rows, columns = spec["size"]  # type: ignore[misc]
            size = rows.to_bytes(2, sys.byteorder) + columns.to_bytes(2, sys.byteorder) + bytes(4)  # type: ignore[has-type]
            fcntl.ioctl(0, termios.TIOCSWINSZ, size)
        else:
            os.setpgid(0, 0)
            os.dup2(inner[0], 1)
            os.dup2(inner[1], 2)
        if stdin >= 0:
            os.dup2(stdin, 0)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)  # also what whoever started the kernel ignores
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        argv: list[str] = spec["argv"]  # type: ignore[assignment]
        os.execvp(spec["executable"] or argv[0], argv)  # type: ignore[arg-type]
    except OSError as e:
        os.write(said, str(e.errno).encode())
    finally:
        os._exit(127)


def copy(streams: dict[int, int], output: Output) -> None:
    """Pass everything the command writes to the file, until nobody holds the other ends any more."""
    poll = select.poll()
    for fd in streams:
        poll.register(fd, select.POLLIN)
    while streams:
        for fd, _ in poll.poll():
            try:
                data = os.read(fd, CHUNK)
            except OSError:  # a terminal whose other side is closed says EIO
                data = b""
            if data:
                output.write(streams[fd], data)
            else:
                poll.unregister(fd)
                os.close(fd)
                del streams[fd]


def finish(folder: str, output: Output, end: dict[str, object]) -> None:
    """Make ``end`` appear at once, tell the kernel, then make all of it durable."""
    end["size"] = os.fstat(output.fd).st_size
    if output.lost:
        end["lost"] = output.lost
    while True:
        try:
            fd = os.open(f"{folder}/end.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.write(fd, marshal.dumps(end))
            os.rename(f"{folder}/end.new", f"{folder}/end")
            break
        except FileNotFoundError:  # somebody removed the folder: nobody waits
            return
        except OSError:  # a full disk: as long as this process lives the outcome is not lost
            select.poll().poll(500)
    output.wake()
    try:
        os.fsync(output.fd)
        os.fsync(fd)
        sync(folder)
    except OSError:  # the kernel has recorded the outcome and removed the folder; or the disk fails, and `size` will tell
        pass


def main(folder: str, notify: int) -> None:
    """Claim, run, record."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    with open(f"{folder}/spec", "rb") as file:
        spec = marshal.load(file)
    output = Output(folder, notify)
    if claim(folder, marshal.dumps({"pid": os.getpid(), "boot": spec["boot"]})) is None:
        return  # voided: somebody was told that this never started
    pid, streams, error = start(spec, folder)
    if spec["stdin"] == "data":
        os.unlink(f"{folder}/in")
    if error is None:
        output.write(PID, str(pid).encode())
    copy(streams, output)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finish(folder, output, {"status": status} if error is None else {"errno": error.errno})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
