"""Compare uploads with what the portal's log says was saved."""
