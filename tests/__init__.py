"""The tests; a package of their own, because actions-toolkit installs a top-level `tests` too."""
