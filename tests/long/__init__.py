"""What takes too long for every run: scripts/test-long names these."""
