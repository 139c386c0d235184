"""ARM templates and the Content Hub package."""
