"""What `threadfix-gate doctor` checks: the connection, step by step (`probe`), and what it means (`checks`)."""
