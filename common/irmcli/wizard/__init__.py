"""The page that guides an administrator through Microsoft's wizard, and the sample file it asks for.

Every step is from Microsoft's page "Set up a connector to import third-party insider risk detections
(preview)". ``connectors`` finds how many connectors are needed, ``steps`` lists what to enter and ``page``
formats it.
"""
