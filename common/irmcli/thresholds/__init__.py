"""What thresholds of a policy would do, counted from rows of the past: `irmexport thresholds`."""
