"""What people do with an outbox: see its status, decide on batches, audit, and check the connection."""
