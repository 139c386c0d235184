"""How the command line starts and finds the emulator of the Purview connector."""
