"""A fake of splunkd's persistent connections."""
