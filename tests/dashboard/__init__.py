"""The page, its roles, and what it sends."""
