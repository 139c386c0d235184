"""The emulator as the command line starts and finds it."""
