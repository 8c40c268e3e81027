"""A file for each trial: what is done to a deployment, and what must hold afterwards."""
