"""NB4xx: effects and state that the journal and the checkpoints do not see."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from holdfast.notebook.book import Book, Page
from holdfast.notebook.deeds import called
from holdfast.notebook.finding import Finding

#: Calls that reach the outside past every interceptor.
_RAW = {
    "socket.socket": "a raw socket",
    "socket.create_connection": "a raw socket",
    "socket.create_server": "a raw socket",
    "asyncio.open_connection": "a raw socket",
    "ctypes.CDLL": "a foreign function",
    "ctypes.cdll.LoadLibrary": "a foreign function",
    "os.fork": "a forked process",
    "os.forkpty": "a forked process",
    "os.posix_spawn": "a spawned process",
    "os.execv": "a replaced process",
    "os.execvp": "a replaced process",
    "pty.spawn": "a spawned process",
    "pexpect.spawn": "a spawned process",
    "pexpect.run": "a spawned process",
    "os.kill": "a signal to a process",
}
#: Client libraries that speak on sockets of their own.
_CLIENTS = frozenset(
    "pymongo redis pymysql MySQLdb psycopg2 asyncpg aiopg pyodbc cx_Oracle oracledb kafka confluent_kafka aiokafka pika"
    " aio_pika nats grpc websocket websockets zmq ldap3 ldap cassandra ftplib telnetlib imaplib poplib fabric asyncssh netmiko paramiko"
    " pyVmomi pyVim nomad hazelcast stomp paho pysnmp ncclient napalm scapy serial can".split()
)
_POLLED_CLOCKS = frozenset({"time.time", "time.monotonic", "time.perf_counter", "datetime.now", "datetime.utcnow", "datetime.datetime.now"})


class Effects:
    """What runs past the recorder, and what a checkpoint cannot keep."""

    codes = {
        "NB401": "an effect the journal does not see",
        "NB402": "a thread or task that is left behind",
        "NB403": "a long sleep that holds the kernel",
        "NB404": "a loop that polls the clock",
        "NB405": "an open file or generator used across steps",
    }

    def run(self, book: Book) -> Iterable[Finding]:
        """Look at calls, imports and names kept across steps."""
        declared = _declared_with_call(book)
        told: set[str] = set()
        for page in book.pages:
            aliases = _imports(book, page)
            for node in page.walk():
                yield from self._import(page, node, declared, told)
                if isinstance(node, ast.Call):
                    yield from self._raw(page, node, aliases, declared)
                    yield from self._sleep(book, page, node, aliases)
                if isinstance(node, ast.While):
                    yield from self._clock(page, node, aliases)
            yield from self._threads(book, page, aliases)
        yield from self._state(book)

    def _import(self, page: Page, node: ast.AST, declared: set[str], told: set[str]) -> Iterable[Finding]:
        if isinstance(node, ast.Import):
            modules = [(a.name.split(".")[0], a.asname or a.name.split(".")[0]) for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules = [(node.module.split(".")[0], a.asname or a.name) for a in node.names]
        else:
            return
        for module, name in modules:
            if module in _CLIENTS and module not in told and not {module, name} & declared:
                told.add(module)
                message = f"what {module} does is not journaled: no interceptor for it is known here"
                cure = "wrap each effect in a function marked @call, or install an integration for it"
                yield page.finding("NB401", "warning", node, message, cure)

    def _raw(self, page: Page, node: ast.Call, aliases: dict[str, str], declared: set[str]) -> Iterable[Finding]:
        full = _full_name(node.func, aliases)
        what = _RAW.get(full)
        if what and not {full, full.split(".")[0]} & declared:
            cure = "use a library that is journaled, or wrap it in a function marked @call"
            yield page.finding("NB401", "warning", node, f"{what} ({full}) reaches the outside unseen by the journal", cure)

    def _sleep(self, book: Book, page: Page, node: ast.Call, aliases: dict[str, str]) -> Iterable[Finding]:
        if _full_name(node.func, aliases) not in ("time.sleep", "asyncio.sleep") or not node.args:
            return
        seconds = _number(node.args[0])
        if seconds is None and isinstance(node.args[0], ast.Name):
            name = node.args[0].id
            default = next((p.default for p in book.manifest.parameters if p.name == name), None)
            seconds = default if isinstance(default, (int, float)) else None
        if seconds is not None and seconds > 60:
            message = f"sleeps {seconds:g} seconds: the kernel is held, and a restart sleeps again from the beginning"
            yield page.finding("NB403", "warning", node, message, f'use wait("{seconds:g} s"), which survives restarts')

    def _clock(self, page: Page, node: ast.While, aliases: dict[str, str]) -> Iterable[Finding]:
        polled = any(isinstance(n, ast.Call) and _full_name(n.func, aliases) in _POLLED_CLOCKS for n in ast.walk(node.test))
        sleeps = any(isinstance(n, ast.Call) and _full_name(n.func, aliases) == "time.sleep" for s in node.body for n in ast.walk(s))
        if polled and sleeps:
            message = "the loop polls the clock: each round is recorded, and the kernel is held until it ends"
            yield page.finding("NB404", "info", node, message, "use wait(...) between rounds, and a deadline from now()")

    def _threads(self, book: Book, page: Page, aliases: dict[str, str]) -> Iterable[Finding]:
        calls = [n for n in page.walk() if isinstance(n, ast.Call)]
        managed = {id(i.context_expr) for n in page.walk() if isinstance(n, (ast.With, ast.AsyncWith)) for i in n.items}
        ended = {called(n) for n in calls}
        for node in calls:
            full = _full_name(node.func, aliases)
            if full in ("threading.Thread", "multiprocessing.Process") and "start" in ended and "join" not in ended:
                if any(k.arg == "target" for k in node.keywords):
                    cure = "join it in the same step, or use for_each(items, fn, concurrency=...)"
                    yield page.finding("NB402", "warning", node, f"the {full.split('.')[1].lower()} may outlive its step", cure)
            elif full.endswith(("ThreadPoolExecutor", "ProcessPoolExecutor")) and id(node) not in managed and "shutdown" not in ended:
                yield page.finding("NB402", "warning", node, "the pool may outlive its step", "use it in a 'with' block, or for_each(...)")
            elif full in ("asyncio.create_task", "asyncio.ensure_future") and _is_statement(page, node):
                yield page.finding("NB402", "warning", node, "the task may outlive its step", "await it, or gather it with the others")
            elif full in ("subprocess.Popen",) and not ended & {"wait", "communicate", "poll"} and id(node) not in managed:
                yield page.finding("NB402", "warning", node, "the process may outlive its step", "wait for it, or use subprocess.run")

    def _state(self, book: Book) -> Iterable[Finding]:
        for page in book.pages:
            if page.step is None or page.tree is None:
                continue
            for statement in page.tree.body:
                if not (isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name)):
                    continue
                value, name = statement.value, statement.targets[0].id
                kind = (
                    "generator"
                    if isinstance(value, ast.GeneratorExp)
                    else "open file"
                    if called(value) == "open" and isinstance(value, ast.Call) and isinstance(value.func, ast.Name)
                    else ""
                )
                if not kind:
                    continue
                users = [s.name for s in book.manifest.steps if s.name != page.step and name in s.reads]
                if users:
                    cure = "make it a list" if kind == "generator" else "open and close it in one step ('with open(...)')"
                    message = f"the {kind} {name!r} is used again in step {users[0]!r}: a checkpoint cannot keep its position"
                    yield page.finding("NB405", "info", statement, message, cure)


def _imports(book: Book, page: Page) -> dict[str, str]:
    """Name -> full name, from the imports of this cell and of those before."""
    found: dict[str, str] = {}
    for p in (*book.before(page), page):
        for node in p.walk():
            if isinstance(node, ast.Import):
                for a in node.names:
                    found[a.asname or a.name.split(".")[0]] = a.name if a.asname else a.name.split(".")[0]
            elif isinstance(node, ast.ImportFrom) and node.module:
                for a in node.names:
                    found[a.asname or a.name] = f"{node.module}.{a.name}"
    return found


def _full_name(node: ast.AST, aliases: dict[str, str]) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    full = ".".join([aliases.get(node.id, node.id), *reversed(parts)])
    return full.replace("datetime.datetime.", "datetime.") if full.startswith("datetime.datetime.") else full


def _declared_with_call(book: Book) -> set[str]:
    """Names used inside functions marked ``@call``, and names handed to ``call(...)``."""
    found: set[str] = set()
    for page in book.pages:
        for node in page.walk():
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                marks = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
                if any(ast.unparse(m).rpartition(".")[2] == "call" for m in marks):
                    for n in ast.walk(node):
                        if isinstance(n, ast.Name):
                            found.add(n.id)
                        elif isinstance(n, ast.Attribute):
                            found.add(ast.unparse(n))
    return found


def _is_statement(page: Page, call: ast.Call) -> bool:
    return any(isinstance(n, ast.Expr) and n.value is call for n in page.walk())


def _number(node: ast.AST) -> float | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        return float(node.value)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Add)):
        left, right = _number(node.left), _number(node.right)
        if left is not None and right is not None:
            return left * right if isinstance(node.op, ast.Mult) else left + right
    return None
