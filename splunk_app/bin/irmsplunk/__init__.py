"""The Splunk side: what stands between splunkd and irmcore.

``command`` (a search's rows → outbox), ``sender`` (outbox → receipt), ``rest`` (connectors, queue).
The command's path loads neither requests nor msal and never asks for a secret.
"""

#: The app's folder under etc/apps, and the realm of its secrets.
APP = "irmexport"
