"""The gate's sentence: find, upload, wait, evaluate, report."""
