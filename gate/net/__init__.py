"""One HTTP request within one limit; every failure is a value."""
