"""The `irmexport` command line. It reads options and prints results; irmcore shapes and delivers."""
