"""Drafting a profile from a sample file."""
