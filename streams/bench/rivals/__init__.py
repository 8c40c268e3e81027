"""s2's job on other engines, each in an environment of its own: none of this is imported by the network."""
