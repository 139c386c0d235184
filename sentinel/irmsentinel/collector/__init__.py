"""The collector: IRM alerts from the Office 365 Management Activity API into Log Analytics."""
