"""The settings of what comes in and goes out: events, and messages to people."""

from __future__ import annotations

from pathlib import Path

import msgspec

from holdfast.config.parsing import Setting, path


class EventsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where sources, sinks and channels are described."""

    events_file: Path | None = None
    channels_file: Path | None = None


#: In the order of the reference page.
EVENTS: dict[str, Setting] = {
    "events_file": Setting(
        path,
        "path",
        "`events.toml` in the working directory when it is there",
        "Which sources events come from and which sinks they go to (TOML; see the page on events).",
    ),
    "channels_file": Setting(
        path,
        "path",
        "`channels.toml` in the working directory when it is there",
        "How questions reach people: Slack, e-mail, webhooks (TOML; see the page on channels).",
    ),
}
