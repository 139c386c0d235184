"""What splunkd starts for a search: the `| irmexport` command and the alert action."""
