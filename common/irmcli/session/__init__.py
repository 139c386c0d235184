"""One connector, from a command's point of view: its input, its outbox, its delivery, and what is printed."""
