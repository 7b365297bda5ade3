"""The parts of a verdict: what an upload, a pending scan and a check each come to. Pure."""
