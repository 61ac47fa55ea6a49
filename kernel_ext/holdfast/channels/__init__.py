"""Carrying questions to people and their answers back: Slack, e-mail, webhooks, and what other packages announce."""
