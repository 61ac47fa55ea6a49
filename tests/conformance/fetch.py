"""Fetches the upstream suites of suites.txt into a folder and unpacks them; what is there already is kept.

``python tests/conformance/fetch.py out/upstream``
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
from pathlib import Path

SUITES = Path(__file__).with_name("suites.txt")
#: What the suites import and Holdfast's own tests do not.
EXTRAS = ("testpath==0.6.0", "pytest-asyncio==1.5.0")


def wanted() -> list[tuple[str, str, str]]:
    """Name, version, SHA-256."""
    lines = [line.split("#")[0].split() for line in SUITES.read_text().splitlines()]
    return [(*spec.split("=="), digest) for spec, digest in filter(None, lines)]  # type: ignore[misc]


def fetch(folder: Path) -> None:
    """Bring what is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    for name, version, digest in wanted():
        if (folder / f"{name}-{version}").is_dir():
            continue
        archive = folder / f"{name}-{version}.tar.gz"
        if not archive.exists():
            subprocess.run([*pip, "download", "--no-binary", ":all:", "--no-deps", "-d", str(folder), f"{name}=={version}"], check=True)
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != digest:
            sys.exit(f"{archive.name} has the SHA-256 {found}, not {digest}")
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        print(f"{name} {version}")
    if not (folder / "site").is_dir():
        subprocess.run([*pip, "install", "--no-deps", "--target", str(folder / "site"), *EXTRAS], check=True)


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
