"""From rows to batches in the outbox: shape, skip rows accepted before, batch, accept all or nothing."""
