"""The rehearsals of the runbooks in this folder: real commands on real files of this machine, written down on their way."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.foundation import clock
from holdfast.testing.rehearsal import Answer, Stage, rehearsal

# Called as `ssh` would be: HOST COMMAND-LINE.
WAY = '#!/bin/sh\nprintf "%s\\n" "$2" >> "$(dirname "$0")/commands.log"\nexec sh -c "$2"\n'


@rehearsal("disk-filling")
@contextmanager
def disk(folder: Path) -> Iterator[Stage]:
    """A folder of logs: six rotated files of last month, one of today, one in use; an archive beside it."""
    logs, archive, way = folder / "logs", folder / "archive", folder / "way"
    way.write_text(WAY)
    way.chmod(0o755)
    (logs / "shop").mkdir(parents=True)
    old = clock.now() - 30 * 86400
    for n in range(1, 7):
        file = logs / "shop" / f"it is access.log.{n}"
        file.write_bytes(bytes([n]) * n * 100_000)
        os.utime(file, (old, old))
    (logs / "shop" / "access.log").write_text("in use\n")
    (logs / "shop" / "access.log.today").write_text("of today\n")

    def effects() -> Counter[str]:
        commands = [shlex.split(line) for line in (folder / "commands.log").read_text().splitlines()]
        return Counter(f"{Path(words[-1]).name} deleted" for words in commands if words[0] == "rm")

    def files(place: Path) -> dict[str, int]:
        return {file.name: file.stat().st_size for file in sorted(place.rglob("*")) if file.is_file()}

    yield Stage(
        parameters={
            "host": "web-1",
            "path": str(folder),
            "logs": str(logs),
            "archive": str(archive),
            "limit_percent": 0,
            "reach": [str(way)],
        },
        answers={"What now?": Answer("archive and delete the old files"), "Archive and delete 6": Answer("yes", typed="6 files")},
        effects=effects,
        state=lambda: {"logs": files(logs), "archive": files(archive)},
    )
