"""Integrations: one room per vendor, on the vendor's own client. See ``docs/explanation/integrations.md``."""
