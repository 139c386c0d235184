"""The Splunk side of irmexport: what splunkd starts, on top of irmcore.

``search`` has the entry points of the command and the alert action; ``export`` does their work, results to
outbox. ``sender`` delivers the outbox. ``rest`` serves the management pages. ``splunk`` wraps splunkd's
services. The command and the alert action load neither requests nor msal and never read a secret.
"""

#: The app's folder under etc/apps, and the realm of its secrets.
APP = "irmexport"
