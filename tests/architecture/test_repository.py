"""What lies in the repository and what its documents must say."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from holdfast.foundation import plugins

TOP = {
    ".ci", ".github", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "benchmarks", "binder",
    "dagster_defs", "docs", "kernel_ext", "pyproject.toml", "requirements", "runbooks", "tests",
}  # fmt: skip


def test_the_top_level_is_as_agreed(root: Path, tracked: list[Path]) -> None:
    assert {p.relative_to(root).parts[0] for p in tracked} <= TOP


# Written in halves, so that this file passes its own test.
REGISTRIES = [
    "pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "npmjs" + ".com", "crates" + ".io", "proxy.golang" + ".org",
    "deb.debian" + ".org", "docker" + ".io", "ghcr" + ".io", "quay" + ".io", "anaconda" + ".org", "--index" + "-url ", "--find" + "-links",
]  # fmt: skip
PRIVATE_PATH = re.compile(r"(?<![\w.:/$}-])/(?:root|work|home/(?!jovyan)\w+|Users/\w+)(?:/|\b)")


def test_no_file_names_a_package_registry(tracked: list[Path]) -> None:
    found = [f"{path}: {host}" for path, text in _texts(tracked) for host in REGISTRIES if host in text]
    assert not found, "which registry to use is the machine's business"


def test_no_file_names_a_path_of_somebodys_machine(tracked: list[Path]) -> None:
    found = [f"{path}:{n}: {line.strip()[:80]}" for path, text in _texts(tracked) for n, line in enumerate(text.splitlines(), 1)
             if PRIVATE_PATH.search(line)]  # fmt: skip
    assert not found, "\n".join(found)


def test_every_link_leads_somewhere_in_the_repository(root: Path, tracked: list[Path]) -> None:
    lost = []
    for path, text in _texts([p for p in tracked if p.suffix == ".md"]):
        for target in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", re.sub(r"```.*?```", "", text, flags=re.S)):
            if not re.match(r"[a-z]+:", target):
                aim = (path.parent / target).resolve()
                if not aim.is_relative_to(root) or not aim.exists():
                    lost.append(f"{path.relative_to(root)}: {target}")
    assert not lost


def test_every_page_is_reachable_from_the_front_page(root: Path) -> None:
    reached, todo = set[Path](), [root / "README.md"]
    while todo:
        page = todo.pop()
        if page not in reached and page.exists():
            reached.add(page)
            if page.suffix == ".md":
                todo += [(page.parent / target).resolve() for target in re.findall(r"\]\(([^)\s#:]+)(?:#[^)]*)?\)", page.read_text())]
    pages = {p for kind in ("*.md", "*.ipynb") for p in (root / "docs").rglob(kind)}
    assert not {str(p.relative_to(root)) for p in pages - reached}


def test_committed_runbooks_hold_no_results(root: Path, tracked: list[Path]) -> None:
    full = []
    for path in tracked:
        if path.suffix == ".ipynb" and path.relative_to(root).parts[0] in {"runbooks", "docs"}:
            cells = json.loads(path.read_text())["cells"]
            if any(c["cell_type"] == "code" and (c["outputs"] or c["execution_count"]) for c in cells):
                full.append(str(path))
            ids = [c.get("id") for c in cells]
            assert None not in ids, f"{path}: a cell without an id"
            assert len(set(ids)) == len(ids), f"{path}: two cells of one id"
    assert not full, "clear the outputs: results belong to executions"


def test_the_readme_is_short_and_starts_with_two_commands(root: Path) -> None:
    text = (root / "README.md").read_text()
    assert text.count("\n") <= 150
    blocks = re.findall(r"```sh setup\n(.*?)```", text, flags=re.S)
    assert len(blocks) == 1
    commands = [line for line in blocks[0].splitlines() if line and not line.startswith("#")]
    assert commands == ["make run", "make test"]
    targets = re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), flags=re.M)
    assert {c.split()[1] for c in commands} <= set(targets)


def test_every_decision_says_context_decision_and_consequence(root: Path) -> None:
    pages = sorted((root / "docs/adr").glob("[0-9]*.md"))
    assert [int(p.name[:4]) for p in pages] == list(range(1, len(pages) + 1)), "numbered without holes"
    index = (root / "docs/adr/README.md").read_text()
    for page in pages:
        text = page.read_text()
        found = re.search(r"\A# (\d+)\. (.+)\n", text)
        assert found, page.name
        assert int(found[1]) == int(page.name[:4])
        assert re.findall(r"^## (.+)$", text, flags=re.M) == ["Context", "Decision", "Consequence"], page.name
        assert re.search(r"^Status: (accepted|replaced by \d+)\.$", text, flags=re.M), page.name
        assert f"| [{found[1]}]({page.name}) | {found[2]} |" in index, f"{page.name} is missing in the index, or has another title there"


def test_every_noun_is_a_word_of_the_glossary(root: Path, modules: list[Any]) -> None:
    words = set(re.findall(r"^\| \*\*(.+?)\*\* \|", (root / "docs/reference/glossary.md").read_text(), flags=re.M))
    nouns = {m.name.rpartition(".")[2] for m in modules if m.name.startswith("holdfast.model.")}
    assert not nouns - words, "one file per word"


# Words that other products use for what has its own word here.
FOREIGN = re.compile(r"(?:^|_|(?<=[a-z]))(Workflow|Activity|Job|Approval|Inquiry|Helper|Util|Utils|Impl|Misc)(?![a-z])")


def test_no_class_has_a_foreign_word_for_a_thing_of_the_house(modules: list[Any]) -> None:
    rooms = {"flows", "integrations"}  # workflows are a word there: the YAML ones
    named = [name for m in modules if m.room not in rooms for name, node in m.definitions
             if isinstance(node, ast.ClassDef) and FOREIGN.search(node.name)]  # fmt: skip
    assert not named


def test_every_module_and_public_class_says_what_it_is_for(modules: list[Any]) -> None:
    silent = [m.name for m in modules if not ast.get_docstring(m.tree)]
    for module in modules:
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and not ast.get_docstring(node):
                silent.append(f"{module.name}.{node.name}")
    assert not silent, "\n".join(silent)


# ---- dependencies ----


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text())
    return loaded


def test_every_interceptor_is_announced_under_its_own_name(project: dict[str, Any], modules: list[Any]) -> None:
    announced = project["project"]["entry-points"]["holdfast.interceptors"]
    built = {}
    for module in modules:
        if module.name.startswith("holdfast.durable.interceptors.") or re.fullmatch(r"holdfast\.integrations\.\w+\.calls", module.name):
            for node in module.tree.body:
                if isinstance(node, ast.ClassDef) and node.name.endswith("Interceptor"):
                    (name,) = [
                        ast.literal_eval(n.value) for n in node.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "name"
                    ]
                    built[name] = f"{module.name}:{node.name}"
    assert built == announced
    installed = {plugin.name: plugin.target for plugin in plugins.find("holdfast.interceptors")}
    assert built.items() <= installed.items(), "install the package again: make setup"


def test_core_dependencies_are_what_is_imported(project: dict[str, Any], modules: list[Any]) -> None:
    core = {_name(r) for r in project["project"]["dependencies"]}
    extras = {_name(r) for name, rs in project["project"]["optional-dependencies"].items() if name != "all" for r in rs} - {"holdfast"}
    providers = {module: {_name(d) for d in ds} for module, ds in packages_distributions().items()}
    at_once: set[str] = set()
    anywhere: set[str] = set()
    for module in modules:
        if module.name.startswith("holdfast_dagster"):
            continue
        top = {id(n) for n in module.tree.body}
        imported = [(node, a.name) for node in module.nodes(ast.Import) for a in node.names]
        imported += [(node, node.module or "") for node in module.nodes(ast.ImportFrom)]
        for node, name in imported:
            for provider in providers.get(name.partition(".")[0], ()):
                anywhere.add(provider)
                if id(node) in top and module.room not in {"testing", "integrations"}:
                    at_once.add(f"{provider} ({module.name})")
    undeclared = {one for one in at_once if one.split(" ")[0] not in core | {"holdfast"}}
    optional = {one for one in undeclared if one.split(" ")[0] in extras | INTERCEPTED}
    assert not undeclared - optional, "imported at module level and not a dependency"
    assert not core - anywhere - USED_UNSEEN.keys(), "a dependency that nothing imports"


#: Libraries whose interceptors are imported only after the author's code imported the library itself.
INTERCEPTED = {"multidict", "yarl", "urllib3", "requests", "httpx", "aiohttp", "boto3", "botocore"}
#: Dependencies that no line imports, and why they are there.
USED_UNSEEN = {
    "ipywidgets": "its widgets are what cells and prompts show in JupyterLab",
}


def test_locks_pin_and_hash_everything(root: Path) -> None:
    for name in ("run", "image", "test", "bench"):
        entries = re.split(r"\n(?=\S)", (root / "requirements" / f"{name}.txt").read_text().strip())
        assert len(entries) > 80
        for entry in entries:
            assert re.match(r"[a-z0-9._-]+(\[[a-z0-9,._-]+\])?==[^\s;]+( ; [^\\]+)? \\\n", entry), entry[:80]
            assert "--hash=sha256:" in entry, entry[:80]


def test_locks_hold_every_dependency(root: Path, project: dict[str, Any]) -> None:
    def locked(name: str) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9._-]+?)(?:\[.*?\])?==([^\s;]+)", (root / "requirements" / f"{name}.txt").read_text(), flags=re.M))

    run, test, bench = locked("run"), locked("test"), locked("bench")
    core = {_name(r) for r in project["project"]["dependencies"]}
    extras = {_name(r) for name, rs in project["project"]["optional-dependencies"].items() if name != "all" for r in rs} - {"holdfast"}
    groups = {name: {_name(r) for r in rs if isinstance(r, str)} for name, rs in project["dependency-groups"].items()}
    assert core | groups["build"] | groups["demo"] <= run.keys()
    extras -= {"holdfast"}  # an extra that includes others
    assert core | extras | groups["build"] | groups["demo"] | groups["test"] <= test.keys()
    assert test.keys() | groups["bench"] <= bench.keys()
    assert all(bench[name] == version for name, version in (run | test).items()), "one version of each, whichever the lock"


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found
    return re.sub(r"[._-]+", "-", found[0]).lower()


def _texts(paths: list[Path]) -> list[tuple[Path, str]]:
    found = []
    for path in paths:
        try:
            found.append((path, path.read_text()))
        except UnicodeDecodeError:
            continue
        except FileNotFoundError:  # removed meanwhile
            continue
    return found


def test_the_build_runs_every_suite(root: Path) -> None:
    parts = re.findall(r"^part \w+ '([^']*)'", (root / ".ci" / "run").read_text(), flags=re.M)
    named: list[str] = []
    for place in (path for part in parts for pattern in part.split() for path in root.glob(pattern)):
        named += [str(f.relative_to(root)) for f in (place.rglob("test_*.py") if place.is_dir() else [place])]
    assert sorted(named) == sorted(str(f.relative_to(root)) for f in (root / "tests").rglob("test_*.py"))
