"""The base class of persistent handlers in Splunk's Python."""


class PersistentServerConnectionApplication:
    """splunkd's host process calls the methods of its subclasses."""
