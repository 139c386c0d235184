"""The directory of people: read it from Microsoft Entra ID or from a file, export it, and check sent rows
against it.
"""
