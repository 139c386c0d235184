"""What the app needs of splunkd: REST, conf files, passwords, paths, and the app's log."""
