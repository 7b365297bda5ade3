"""Reporters read a finished verdict and write it somewhere. None can change it."""
