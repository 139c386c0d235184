"""What the members of a search head cluster share: one outbox per connector, in KV store."""
