"""The steps of `irmexport demo` that need no extra, and the two examples from Microsoft's page."""
