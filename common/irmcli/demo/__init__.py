"""The steps of `irmexport demo` that need no extra, and the examples from Microsoft's pages."""
