"""An outbox's store in Azure Blob Storage, S3 or a service that speaks S3."""
