"""The HTML report: one self-contained file. The only package that imports Jinja2."""
