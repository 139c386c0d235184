"""One subcommand a file; ``irmcli.main`` lists them."""
