"""Flags and environment in; settings, or every invalid option, out. Pure."""
