"""Activation swap, experimental: a network distilled into itself with a cheaper activation.

The teacher is the network as it is, the student the same weights with another activation; photos need no
labels. :mod:`~edgeeff.training.swap.session` is the story: statistics of batch normalisation anew, block by
block, then the whole network. :mod:`~edgeeff.training.swap.comparing` holds what came of it against the
network as it was, in accuracy and in time. docs/training.md says what users see of it.
"""
