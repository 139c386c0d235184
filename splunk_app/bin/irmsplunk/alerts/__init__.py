"""The modular input that reads the alerts of Insider Risk Management from Microsoft Graph."""
