"""The REST endpoint behind the management pages."""
