"""splunkd's own services: REST, conf files, passwords, paths, log."""
