"""The Splunk side of irmexport: what splunkd starts, on top of irmcore.

``search`` starts and ``export`` does the work of the command and the alert action: results to outbox.
``sender`` delivers the outbox. ``rest`` serves the management pages. ``splunk`` wraps what the others need
of splunkd. The command and the alert action load neither requests nor msal and never read a secret.
"""

#: The app's folder under etc/apps, and the realm of its secrets.
APP = "irmexport"
