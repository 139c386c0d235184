"""From the outbox to a receipt: one sender per connector, every step durable before the next."""
