"""The modular input that delivers what searches have queued."""
