"""The canary: a marked row for a test account, and what comes back of it from Insider Risk Management."""
