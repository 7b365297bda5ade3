"""The tests; a package, because actions-toolkit also installs a top-level `tests`."""
