"""Azure services, through Microsoft's own clients: Log Analytics queries and log ingestion."""
