"""The commands of a Markdown runbook as cells: placeholders become parameters, what is more than plain lines becomes a script."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable

from holdfast.notebook.destroying import command_destroys

TODO = "# TODO"
SHELL = frozenset("sh bash shell console zsh ksh terminal shell-session shellsession sh-session bash-session".split())
#: Programs by which a block or a phrase without a language is known to be commands.
_PROGRAMS = frozenset(
    "amtool ansible ansible-playbook aws awk az bash cat cd chef-client chmod chown consul cp crictl curl df dig dmesg docker "
    "du etcdctl export find free  gcloud git gitlab-ctl gitlab-psql gitlab-rails grep head helm hostname iostat ip iptables "
    "journalctl jq kill knife kubectl ls lsof make mkdir  mount mv mysql netstat nslookup oc openssl patronictl pg_ctl ping "
    "pkill podman promtool ps psql redis-cli rm rsync scp sed service ss ssh sudo  systemctl tail tar tcpdump tee terraform "
    "tofu top touch traceroute umount uptime vault vmstat wget xargs".split()
)
_PLACEHOLDER = re.compile(
    r"(?<!<)<(?P<angle>[A-Za-z][^<>|&;()$`\n]{0,60})>|\$\{(?P<braced>[A-Za-z_]\w*)\}|\{\{-?\s*[$.]*(?:[\w]+\.)*(?P<template>[A-Za-z_]\w*)\s*-?\}\}"
    r"|\$(?P<upper>[A-Z][A-Z0-9_]+)\b"
)
#: Variables that a shell has by itself, or awk.
_SHELLS_OWN = frozenset(
    "HOME PATH PWD USER SHELL HOSTNAME RANDOM EDITOR TMPDIR LANG KUBECONFIG OLDPWD UID NF NR FS OFS RS FNR IFS PIPESTATUS".split()
)
_ASSIGNS = re.compile(r"^\s*(?:export\s+|local\s+|readonly\s+)?([A-Za-z_]\w*)=", re.MULTILINE)
_MORE_THAN_LINES = re.compile(
    r"<<-?\s*['\"]?\w|^\s*(for|while|until|if|case|function|do|done|fi|then|else|elif|esac|select|cd|set|trap|source|\.)\b|^\s*[{}]|^\s*\w+\s*\(\)"
    r"|(\||&&|\|\||\()\s*$|^\s*(?:export\s+)?\w+=",
    re.MULTILINE,
)
_PROMPT = re.compile(r"^\s*(?P<at>\[[^\]]*\]|[\w.@:~/-]+)?\$\s+(?=\S)")


class Parameters(dict[str, None]):
    """The parameters found so far, in order."""

    def named(self, text: str) -> str:
        """The parameter for a placeholder's text."""
        name = re.sub(r"\W+", "_", text.strip().lower(), flags=re.ASCII).strip("_")[:40] or "value"
        name = f"p_{name}" if name[0].isdigit() else f"{name}_" if keyword.iskeyword(name) else name
        self[name] = None
        return name


def looks_like_commands(body: str) -> bool:
    """Whether a block without a language is for a shell: a prompt, or a first word that is a program's name."""
    lines = [line for line in body.split("\n") if line.strip() and not line.lstrip().startswith("#")]
    return bool(lines) and (any(_PROMPT.match(line) for line in lines) or is_command(lines[0]))


def is_command(line: str) -> bool:
    """Whether a line begins with a program that runbooks use, and something behind it."""
    words = line.split()
    return len(words) > 1 and words[0] in _PROGRAMS


def cell_of(body: str, parameters: Parameters) -> str:
    """The cell for a block of shell; what destroys asks first where a line can be put before it."""
    commands, shown = _without_prompts(body.split("\n"))
    text = re.sub(r"[ \t]*\\\n\s*", " ", "\n".join(commands)).strip("\n")
    own = frozenset([*_ASSIGNS.findall(text), *re.findall(r"\b(?:for|read|read\s+-\w+)\s+(\w+)", text)])
    made = _script(text, own, parameters) if _MORE_THAN_LINES.search(text) else _lines(text, own, parameters)
    return made + "".join(f"\n# shows: {line}" for line in shown if line.strip())


def _without_prompts(lines: list[str]) -> tuple[list[str], list[str]]:
    """Commands, and what a terminal answered; without any prompt all are commands."""
    if not any(_PROMPT.match(line) for line in lines):
        return lines, []
    commands: list[str] = []
    shown: list[str] = []
    goes_on = False
    for line in lines:
        prompt = _PROMPT.match(line)
        if prompt or goes_on:
            if prompt and prompt["at"] and f"# at {prompt['at']}" not in commands:
                commands.append(f"# at {prompt['at']}")
            commands.append(re.sub(r"^\s*>\s+", "", line) if goes_on else _PROMPT.sub("", line))
            goes_on = line.endswith("\\")
        elif line.lstrip().startswith("#"):
            commands.append(line)
        else:
            shown.append(line)
    return commands, shown


def _lines(text: str, own: frozenset[str], parameters: Parameters) -> str:
    made: list[str] = []
    for line in text.split("\n"):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            made += [bare] if bare else []
            continue
        put = _filled(bare, own, parameters)
        if command_destroys(bare):
            made.append(f"{TODO}: this destroys: name target and number here, and who must agree")
            made.append(f"confirm({f'run this? {bare}'!r})")
        made.append(f"!{put}")
    return "\n".join(made)


def _filled(line: str, own: frozenset[str], parameters: Parameters) -> str:
    """A line for IPython: with placeholders as ``{name}``, and then the shell's own braces and dollars doubled."""
    found = [m for m in _PLACEHOLDER.finditer(line) if _is_parameter(m, own)]
    if not found:
        return line
    made, place = "", 0
    for match in found:
        made += _doubled(line[place : match.start()]) + "{" + parameters.named(_said(match)) + "}"
        place = match.end()
    return made + _doubled(line[place:])


def _doubled(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}").replace("$", "$$")


def _script(text: str, own: frozenset[str], parameters: Parameters) -> str:
    """A script that is given its parameters: IPython puts nothing into it."""
    taken: dict[str, None] = {}

    def put(match: re.Match[str]) -> str:
        if not _is_parameter(match, own):
            return match[0]
        name = parameters.named(_said(match))
        taken[name] = None
        return f"${{{name}}}"

    body = _PLACEHOLDER.sub(put, text)
    given = "".join(f' "{{{name}}}"' for name in taken)
    head = [f"%%bash -s{given}" if taken else "%%bash", "set -euo pipefail", *(f'{name}="${n}"' for n, name in enumerate(taken, 1))]
    return "\n".join([*head, body])


def _said(match: re.Match[str]) -> str:
    found: Callable[[str], str | None] = match.group
    return found("angle") or found("braced") or found("template") or found("upper") or ""


def _is_parameter(match: re.Match[str], own: frozenset[str]) -> bool:
    name = match["braced"] or match["upper"]
    return name is None or (name not in own and name not in _SHELLS_OWN)
