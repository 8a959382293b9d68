"""The gate: whether a bundle may take the place of an older one, decided from what was measured.

``verdict`` is what is decided, as data; ``pair`` decides about two bundles.
"""
