"""Local emulators of the Azure services that the Sentinel side talks to."""
