"""Networks and their checkpoints.

``catalog`` says which networks there are (no torch), ``scaling`` and ``architecture`` what they are made
of (no torch), ``blocks`` and ``efficientnet`` build them, ``checkpoints`` fills them with trained weights.
"""
