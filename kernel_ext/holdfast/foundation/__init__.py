"""Ground floor: clock, faults, plugins, secrets, telemetry. Knows nothing of runbooks."""
