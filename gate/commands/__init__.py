"""The commands, one file each: options in, log out, exit code back."""
