"""ARM templates of the content, and the Content Hub package."""
