"""Search results to the outbox, shared by the command and the alert action."""
