"""The Splunk side: what stands between splunkd and irmcore.

``command`` and ``alert`` (a search's rows → outbox), ``sender`` (outbox → receipt), ``rest``
(connectors, queue). The first two load neither requests nor msal and never ask for a secret.
"""

#: The app's folder under etc/apps, and the realm of its secrets.
APP = "irmexport"
