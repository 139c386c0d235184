"""The REST endpoint irmexport/…, which the management pages and administrators use."""
