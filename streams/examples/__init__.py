"""Small programs that use the SDK, to be read and copied."""
