"""The settings of guardrails."""

from __future__ import annotations

from holdfast.config.parsing import Setting, path, switch

#: In the order of the reference page.
GUARDRAILS: dict[str, Setting] = {
    "guardrails_file": Setting(
        path,
        "path",
        "`guardrails.toml` in the working directory when it is there",
        "Change freezes, and what the operator allows at most (TOML; see the page on guardrails).",
    ),
    "unattended": Setting(
        switch,
        "on or off",
        "`off`",
        "`on` where executions are started by no person (a cron job): what destroys then needs a recorded approval.",
    ),
}
