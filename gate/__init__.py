"""threadfix-gate waits for ThreadFix to process a pending scan, then says pass, fail or unknown."""

__version__ = "0.1.0"
