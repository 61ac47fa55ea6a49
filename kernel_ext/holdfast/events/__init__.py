"""CloudEvents in and out: the durable inbox, rules that start runbooks, and what sinks are told."""
