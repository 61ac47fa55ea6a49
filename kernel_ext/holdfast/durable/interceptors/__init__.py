"""The built-in implementations of the contract in ``durable/interceptor.py``: shell, subprocess, HTTP, boto3."""
