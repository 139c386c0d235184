"""One subcommand per file; ``irmcli.main`` lists them."""
