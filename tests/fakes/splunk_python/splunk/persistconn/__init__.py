"""A stand-in of splunkd's persistent connections."""
