"""Search results to the outbox: what the command and the alert action share."""
