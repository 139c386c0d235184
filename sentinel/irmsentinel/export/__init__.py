"""Exports: aggregated rows from a workspace to the connector, window by window."""
