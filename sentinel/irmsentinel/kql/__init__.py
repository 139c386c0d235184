"""Checking KQL with Microsoft's parser and running it on a local engine."""
