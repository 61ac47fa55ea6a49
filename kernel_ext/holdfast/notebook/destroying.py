"""Which requests destroy: what they undo cannot be had again by asking."""

from __future__ import annotations

import re

COMMAND = re.compile(
    r"""(?x)
    \brm\s+(-\w+\s+)*-\w*[rR] | \brm\s+-\w*f | \bmkfs | \bdd\s.*\bof= | \bshred\b | \bwipefs\b | \btruncate\s+-s
    | \b(kubectl|oc)\s(?:(?![;&|]).)*?\b(delete|drain)\b | \baws\s(?:(?![;&|]).)*?\s(delete|terminate|deregister|purge|remove|batch-delete)-
    | \baws\s(?:(?![;&|]).)*?\bs3\s+(rb|rm)\b | \bgcloud\s(?:(?![;&|]).)*?\bdelete\b | \baz\s(?:(?![;&|]).)*?\bdelete\b
    | \bfind\s.*\s(-delete\b|-exec(dir)?\s+rm\b) | \bkill\s+-(9|s?\s*(SIG)?KILL)\b | \b(pkill|killall)\s
    | \bdoctl\s.*?\bdelete\b
    | \b(terraform|tofu|pulumi)\s(?:(?![;&|]).)*?\bdestroy\b | \bhelm\s(?:(?![;&|]).)*?\b(uninstall|delete)\b | \bec2\s+(delete|terminate)-
    | \b(docker|podman)\s+(rm|rmi|kill|\w+\s+(rm|prune))\b | \bdropdb\b | \b(drop\s+(table|database|schema)|truncate\s+table)\b
    | \bdelete\s+from\b | \bflush(all|db)\b | \bgit\s+push\s.*(--force|-f\b) | \bgit\s+reset\s+--hard
    | \b(shutdown|reboot|poweroff|halt)\b(?!\S*\.) | \blvremove\b | \bvgremove\b | \bzfs\s+destroy\b | \bzpool\s+destroy\b
    """,
    re.IGNORECASE,
)
METHOD = re.compile(
    r"(delete|terminate|destroy|purge|deregister|batch_delete|force_delete)_\w+|drop_(table|database|collection|index)|rmtree|reboot_\w+"
)
DRY = re.compile(r"--dry-run(?!=none)|--dryrun|\s-n\s.*--dry|--diff-only")
SQL = re.compile(r"\s*(delete\s+from|drop\s+(table|database|schema|index)|truncate)\b", re.IGNORECASE)
_AWS = re.compile(
    r"(Batch|Force)?(Delete|Terminate|Destroy|Purge|Deregister|Drop|Schedule\w*Deletion)(?!Tags\b|Message)(?=[A-Z]|$)|Reboot[A-Z]"
)
_ECHO = re.compile(r"\s*(echo|printf|grep|git\s+log)\b[^|;&]*$")


def command_destroys(line: str) -> bool:
    """Whether one line of shell destroys, by its words; one that prints or searches them does not."""
    return COMMAND.search(line) is not None and DRY.search(line) is None and _ECHO.match(line) is None


def request_destroys(kind: str, operation: str) -> bool:
    """Whether a request that changes something destroys, as far as its kind and its text for people tell."""
    if kind == "shell":
        return any(command_destroys(line) for line in operation.split("\n"))
    if kind == "http":
        return operation.startswith("DELETE ")
    if kind == "aws":
        return _AWS.match(operation.partition(".")[2]) is not None
    if kind in ("sql", "postgres"):
        return SQL.match(operation) is not None
    name = re.split(r"[\s(]", operation.strip(), maxsplit=1)[0].rpartition(".")[2]
    return METHOD.fullmatch(name) is not None
