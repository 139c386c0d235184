"""Check KQL with Microsoft's parser, and run it on a local engine."""
