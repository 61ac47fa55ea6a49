"""HTTP: the REST API, live progress, the inbox pages. Async at the edge only; the verbs run in threads."""
