"""The page that an administrator follows through Microsoft's wizard, and the sample file it asks for.

Source of every step: Microsoft's page "Set up a connector to import third-party insider risk detections
(preview)". ``connectors`` says how many are needed, ``steps`` what to choose, ``page`` how it is written.
"""
