"""ICN: a fleet of collecting nodes as one trusted, prioritised, auditable stream.

Follow an artifact: sdk/node -> agents/s1_intake -> agents/s2_dedup -> agents/s4_priority; replay/ checks them all.
"""

__version__ = "0.1.0"
