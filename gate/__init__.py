"""A CI gate: it uploads to ThreadFix, waits until the scan is processed, and reports pass, fail or unknown."""

__version__ = "0.1.0"
