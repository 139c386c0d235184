"""Comparing what was sent with what the portal's log says was saved."""
