"""What Prometheus, and tools written for Burrow, ask for: metrics and JSON of the last look at the cluster and the network."""
