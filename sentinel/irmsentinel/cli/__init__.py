"""`irmexport sentinel …`: the subcommands and their demo steps. One command or group per file."""
