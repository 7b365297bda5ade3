"""The embedded ThreadFix: one fake for the demo, for trying a client, and for the tests. Standard library only."""
