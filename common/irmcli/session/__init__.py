"""One command's work with one connector: read a file, shape it, queue it, deliver, report."""
