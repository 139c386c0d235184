"""The demo's steps for the command line, and the two examples from Microsoft's page."""
