"""A fake of the packages in Splunk's own Python."""
