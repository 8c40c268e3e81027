"""Everything on this machine: broker, stages, sealer, nodes and ticks, kept running."""
