"""A real one-node cluster, with kdns as its DNS: a script, not a test of the ordinary run."""
