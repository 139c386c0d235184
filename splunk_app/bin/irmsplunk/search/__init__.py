"""What splunkd starts for a search: the command `| irmexport` and the alert action."""
