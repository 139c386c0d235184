"""The network: sign-in, credentials and one upload over HTTPS."""
