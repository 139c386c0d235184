"""`irmexport sentinel …`: the subcommands, and their demo steps."""
