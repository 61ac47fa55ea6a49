"""Beside the kernel: starts it, sends it the cells of a runbook step by step, and sees the execution to its end."""
