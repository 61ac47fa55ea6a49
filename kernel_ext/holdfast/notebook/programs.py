"""Programs whose effect cannot be told by words and options alone: wrappers of other commands, and those that take a little language."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from holdfast.model.call import Effect
from holdfast.notebook.shell import UNKNOWN, Word


class Classifier(Protocol):
    """What a wrapper asks about the command it wraps."""

    def line(self, text: str, depth: int) -> Effect:
        """A command line in shell syntax."""

    def words(self, words: list[Word], depth: int) -> Effect:
        """The words of a simple command."""


Special = Callable[[list[Word], Classifier, int], Effect]

_R, _W = Effect.READ, Effect.WRITE


def _after_options(arguments: list[Word], flags: str, valued: frozenset[str]) -> list[Word] | None:
    """What follows the options of a wrapper; None when an option is not known."""
    at = 0
    while at < len(arguments) and arguments[at].text.startswith("-") and arguments[at].text != "-":
        text = arguments[at].text
        at += 1
        if text == "--":
            break
        name = text.split("=", 1)[0]
        if name in valued:
            at += 0 if "=" in text else 1
        elif text[:2] in valued and not text.startswith("--") and len(text) > 2:
            continue
        elif not (re.fullmatch(rf"-[{flags}]+", text) if flags and not text.startswith("--") else False):
            return None
    return arguments[at:]


def _wrapper(flags: str, valued: str = "", *, assignments: bool = False, skip: int = 0, bare: Effect = _W) -> Special:
    """A program that runs the command in its arguments: ``sudo``, ``timeout``, ``nice`` ..."""
    options = frozenset(valued.split())

    def special(arguments: list[Word], classifier: Classifier, depth: int) -> Effect:
        rest = _after_options(arguments, flags, options)
        if rest is None or len(rest) < skip:
            return _W
        rest = rest[skip:]
        if not rest:
            return bare
        if not assignments and "=" in rest[0].text:
            return _W
        return classifier.words(rest, depth)

    return special


def _command(arguments: list[Word], classifier: Classifier, depth: int) -> Effect:
    """``command -v NAME`` only asks where a program is."""
    if arguments and re.fullmatch(r"-p?[vV]", arguments[0].text):
        return _R
    return _wrapper("p")(arguments, classifier, depth)


def _joined(flags: str, valued: str, *, skip: int = 0) -> Special:
    """A program that hands its arguments to a shell: ``watch``, ``ssh``."""
    options = frozenset(valued.split())

    def special(arguments: list[Word], classifier: Classifier, depth: int) -> Effect:
        if any(re.search(r"command|proxy|forward|tunnel|include", w.text, re.IGNORECASE) for w in arguments if "=" in w.text):
            return _W
        rest = _after_options(arguments, flags, options)
        if rest is None or len(rest) <= skip or any(not w.literal for w in rest[skip:]):
            return _W
        return classifier.line(" ".join(w.text for w in rest[skip:]), depth)

    return special


def _shell(arguments: list[Word], classifier: Classifier, depth: int) -> Effect:
    """``bash -c 'commands'``, with plain flags only."""
    for at, word in enumerate(arguments):
        if re.fullmatch(r"-[eux]*c", word.text):
            if at + 1 >= len(arguments) or not arguments[at + 1].literal:
                return _W
            return classifier.line(arguments[at + 1].text, depth)
        if not re.fullmatch(r"-[eux]+", word.text):
            return _W
    return _W


def _xargs(arguments: list[Word], classifier: Classifier, depth: int) -> Effect:
    """What comes from the pipe may be anything: the command must read whatever follows."""
    rest = _after_options(arguments, "0rtx", frozenset({"-n", "-P", "-I", "-L", "-d", "-s", "--max-args", "--max-procs", "--delimiter"}))
    if rest is None:
        return _W
    if rest and rest[0].text.rpartition("/")[2] in ("sh", "bash", "dash", "zsh", "ssh", "watch"):
        return _W  # what comes from the pipe would be read as commands
    return classifier.words([*rest, Word(UNKNOWN)], depth) if rest else _R


def _exec_in(valued: str) -> Special:
    """``kubectl exec POD -- command``, ``docker exec CONTAINER command``: judged by the command."""
    options = frozenset(valued.split())

    def special(arguments: list[Word], classifier: Classifier, depth: int) -> Effect:
        texts = [w.text for w in arguments]
        if "--" in texts:
            return classifier.words(arguments[texts.index("--") + 1 :], depth) if texts[-1] != "--" else _W
        rest = _after_options(arguments, "it", options)
        return _W if rest is None or len(rest) < 2 else classifier.words(rest[1:], depth)

    return special


_kubectl_exec = _exec_in("-n --namespace -c --container --context")
_docker_exec = _exec_in("-u --user -w --workdir -e --env")


def _with_exec(inner: Special, valued: str) -> Special:
    """The sub-command ``exec`` of a program; its other sub-commands stand in the table."""
    options = frozenset(valued.split())

    def special(arguments: list[Word], classifier: Classifier, depth: int) -> Effect:
        rest = _after_options(arguments, "", options)
        return inner(rest[1:], classifier, depth) if rest and rest[0].text == "exec" else _W

    return special


_SED_SCRIPT = re.compile(
    r"\s*((\d+|\$|/[^/]*/)?(,(\d+|\$|/[^/]*/))?\s*!?\s*([pdqDPNnhHgGx=]|s(?P<d>[/|#,:@])((?!(?P=d)).)*(?P=d)((?!(?P=d)).)*(?P=d)[gIip0-9]*)?\s*(;|$|\n)\s*)+"
)


def _sed(arguments: list[Word], classifier: Classifier, depth: int) -> Effect:
    """Without ``-i``, and with a script of plain commands (``w`` and ``e`` write and execute)."""
    scripts: list[Word] = []
    others: list[Word] = []
    texts = iter(arguments)
    for word in texts:
        if word.text in ("-e", "--expression"):
            scripts.append(next(texts, Word(UNKNOWN)))
        elif word.text.startswith("-") and word.text not in ("-", "--"):
            if not re.fullmatch(r"-[nErzus]+|--quiet|--silent|--regexp-extended|--posix", word.text):
                return _W
        else:
            others.append(word)
    if not scripts:
        scripts, others = others[:1], others[1:]
    if any(w.text.startswith(UNKNOWN) for w in others):
        return _W
    return _R if scripts and all(s.literal and _SED_SCRIPT.fullmatch(s.text) for s in scripts) else _W


_AWK_EFFECT = re.compile(r"\bsystem\b|\bgetline\b|\bclose\b|@|(?<!\|)\|(?!\|)|\bprintf?\b[^;}\n]*>")


def _awk(arguments: list[Word], classifier: Classifier, depth: int) -> Effect:
    """With a program that neither runs commands nor writes files."""
    rest = _after_options(arguments, "", frozenset({"-F", "-v", "--field-separator", "--assign"}))
    if not rest or not rest[0].literal or any(w.text.startswith(("-", UNKNOWN)) for w in rest[1:]):
        return _W
    return _W if _AWK_EFFECT.search(re.sub(r'"(\\.|[^"\\])*"', '""', rest[0].text)) else _R


_CURL_FLAGS = "sSfLkvigIGN460#"
_CURL_LONG = frozenset(
    "--silent --show-error --fail --fail-with-body --location --insecure --verbose --include --globoff --head --get --no-buffer --ipv4"
    " --ipv6 --compressed --http1.1 --http2 --retry-all-errors --retry-connrefused --no-progress-meter --progress-bar --path-as-is".split()
)
_CURL_VALUED = frozenset(
    "-H --header -m --max-time --connect-timeout -u --user -A --user-agent -e --referer --retry --retry-delay --retry-max-time -x --proxy"
    " --noproxy --cacert --cert -E --key --resolve --connect-to --interface --url --oauth2-bearer --aws-sigv4 --unix-socket".split()
)
_CURL_DATA = frozenset({"-d", "--data", "--data-urlencode", "--data-raw"})


def _curl(arguments: list[Word], classifier: Classifier, depth: int) -> Effect:
    """A GET or HEAD that writes no file."""
    data = get = False
    words = list(arguments)
    while words:
        word = words.pop(0)
        text, name = word.text, word.text.split("=", 1)[0]
        if text.startswith(UNKNOWN):
            return _W
        if not text.startswith("-") or text == "-":
            if re.match(r"(?!https?:)[a-z]+://", text, re.IGNORECASE):
                return _W
            continue
        if re.fullmatch(r"-[A-Za-z][^-].*", text) and not text.startswith("--") and text[1] in _CURL_FLAGS and text[-1] in "XHmouwdAex":
            words.insert(0, Word("-" + text[-1], word.quoted))  # a cluster such as -sSo, its last letter takes the value
            text = name = text[:-1]
        value = words[0] if words else Word(UNKNOWN)
        if text in ("-X", "--request", "-XGET", "-XHEAD"):
            if text in ("-X", "--request"):
                words = words[1:]
                if value.text not in ("GET", "HEAD", "OPTIONS"):
                    return _W
        elif text in ("-o", "--output"):
            words = words[1:]
            if value.text not in ("/dev/null", "-"):
                return _W
        elif text in ("-w", "--write-out"):
            words = words[1:]
            if "%output" in value.text or not value.literal or value.text.startswith("@"):
                return _W
        elif name in _CURL_DATA:
            data, words = True, words[0 if "=" in text else 1 :]
        elif name in _CURL_VALUED:
            if "method-override" in value.text.lower():
                return _W
            words = words[1:]
        elif text in _CURL_LONG or re.fullmatch(rf"-[{_CURL_FLAGS}]+", text):
            get = get or text == "--get" or (not text.startswith("--") and "G" in text)
        else:
            return _W
    return _W if data and not get else _R


_SQL_FUNCTIONS = frozenset(
    "count sum avg min max now coalesce round lower upper length age extract date_trunc date_part to_char to_timestamp"
    " pg_size_pretty pg_database_size pg_relation_size pg_total_relation_size pg_table_size pg_indexes_size pg_is_in_recovery"
    " version current_setting pg_blocking_pids pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp"
    " pg_current_wal_lsn pg_wal_lsn_diff pg_postmaster_start_time current_database string_agg array_agg json_agg jsonb_agg"
    " json_build_object row_number rank dense_rank lag lead substring substr left right trim ltrim rtrim replace concat abs"
    " ceil floor greatest least nullif cast distinct exists in any all some over filter and or not on as from where values"
    " using group_concat ifnull if date datetime strftime julianday unix_timestamp interval timestampdiff select with"
    " partition by case when then else between like char varchar numeric decimal".split()
)
_SQL_WRITES = re.compile(
    r"\b(insert|update|delete|merge|truncate|drop|alter|create|grant|revoke|call|do|copy|into|lock|vacuum|analyze|set|begin|execute|prepare|"
    r"refresh|reindex|cluster|comment|listen|notify|load|replace\s+into|attach|pragma|share)\b|\\",
    re.IGNORECASE,
)


def reads_only_sql(statement: str) -> bool:
    """Whether every statement in the text is a query without functions that may act."""
    if any(mark in statement for mark in ("--", "/*", "#", "$$")):
        return False  # comments differ from server to server, and a quote in one would hide what follows
    bare = re.sub(r'"[^"]*"', "x", re.sub(r"'([^']|'')*'", "''", statement))
    parts = [p.strip() for p in bare.split(";") if p.strip()]
    if not parts:
        return False
    for part in parts:
        if not re.match(r"(select|show|explain|values|table|with|describe|desc)\b|\(\s*select\b", part, re.IGNORECASE):
            return False
        if _SQL_WRITES.search(part):
            return False
        if any(f.lower() not in _SQL_FUNCTIONS for f in re.findall(r"([\w.]+)\s*\(", part)):
            return False
    return True


def _sql(valued: str, statement_options: str, flags: str) -> Special:
    """``psql -c 'select ...'`` and kin."""
    options, statements_in = frozenset(valued.split()), frozenset(statement_options.split())

    def special(arguments: list[Word], classifier: Classifier, depth: int) -> Effect:
        statements: list[Word] = []
        words = list(arguments)
        while words:
            text = words.pop(0).text
            name, equals, value = text.partition("=")
            cluster = re.fullmatch(rf"-[{flags}]+([ce])", text)
            if text in statements_in or cluster:
                if cluster and f"-{cluster.group(1)}" not in statements_in:
                    return _W
                statements.append(words.pop(0) if words else Word(UNKNOWN))
            elif equals and name in statements_in:
                statements.append(Word(value, True))
            elif name in options:
                words = words[0 if equals else 1 :]
            elif text.startswith(UNKNOWN) or (text.startswith("-") and not re.fullmatch(rf"-[{flags}]+|-[hpUdPuD][\w./:-]+", text)):
                return _W
        return _R if statements and all(s.literal and reads_only_sql(s.text) for s in statements) else _W

    return special


#: name -> how its effect is told. ``data/commands.toml`` refers to these.
SPECIAL: dict[str, Special] = {
    "sudo": _wrapper("nEHSi", "-u --user -g --group"),
    "env": _wrapper("i", "-u --unset", assignments=True, bare=_R),
    "command": _command,
    "nice": _wrapper("", "-n --adjustment"),
    "timeout": _wrapper("v", "-s --signal -k --kill-after", skip=1),
    "stdbuf": _wrapper("", "-i -o -e --input --output --error"),
    "nohup": _wrapper(""),
    "time": _wrapper("pv"),
    "watch": _joined("bcdegptwx", "-n --interval"),
    "ssh": _joined("46ATqtvxn", "-i -l -p -o -J -c -m", skip=1),
    "shell": _shell,
    "xargs": _xargs,
    "kubectl-exec": _with_exec(_kubectl_exec, "-n --namespace --context --kubeconfig --cluster -s --server --user --request-timeout"),
    "docker-exec": _with_exec(_docker_exec, "-H --host --context -c --config"),
    "sed": _sed,
    "awk": _awk,
    "curl": _curl,
    "psql": _sql(
        "-h --host -p --port -U --username -d --dbname -F --field-separator -R -P --pset -v --set --variable",
        "-c --command",
        "AtXqwWxHnEe1",
    ),
    "mysql": _sql("-h --host -P --port -u --user -D --database --defaults-file", "-e --execute", "NBsGtr"),
}
