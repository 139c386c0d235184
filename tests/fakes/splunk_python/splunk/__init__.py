"""A stand-in of the packages that Splunk's own Python has."""
