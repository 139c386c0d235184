"""The modular input that delivers queued rows."""
