"""History in, verdict out. Pure."""
