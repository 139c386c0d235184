"""The base class of persistent handlers, as Splunk's Python has it."""


class PersistentServerConnectionApplication:
    """A handler's methods are called by splunkd's host process."""
