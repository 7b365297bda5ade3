"""Everything that knows ThreadFix."""
