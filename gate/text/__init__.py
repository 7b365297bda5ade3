"""The border for text from a server, and the words of every report."""
