"""What is served of the last look."""
