"""The `irmexport` command line: asks, shows and explains; what is shaped and sent is decided in irmcore."""
