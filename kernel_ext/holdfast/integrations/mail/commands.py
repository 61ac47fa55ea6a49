"""One-line commands: ``!email send --to oncall@example.com --subject 'web is back' --text report --sender ops@example.com``."""

from __future__ import annotations

from holdfast.integrations.mail.sending import send
from holdfast.model.oneliner import family

EMAIL = family("E-mail over SMTP", writes={"send": send})
