"""E-mail over SMTP: what ``smtplib`` sends is recorded.

::

    from holdfast.integrations import mail

    mail.send("oncall@example.com", "web is back", "restarted at 03:12", sender="ops@example.com", server="smtp.example.com:587",
              user="ops", password="env:SMTP_PASSWORD")
"""

from __future__ import annotations

from holdfast.integrations.mail.sending import send

__all__ = ["send"]
