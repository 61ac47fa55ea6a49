"""Slack on slack_sdk: durable calls, and the few functions that runbooks need.

::

    from holdfast.integrations import slack

    client = slack.connect("env:SLACK_BOT_TOKEN")
    said = slack.post("#incidents", "restarting web", client=client)
    slack.update(said, "web is back", client=client)
"""

from __future__ import annotations

from holdfast.integrations.slack.connecting import connect
from holdfast.integrations.slack.messages import Said, find_user, post, react, update

__all__ = ["Said", "connect", "find_user", "post", "react", "update"]
