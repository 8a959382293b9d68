"""Detectors of the EfficientDet family: Tan et al. 2020, arXiv:1911.09070.

``family`` is the table of networks, ``spec`` one of them with all that is known, ``architecture`` what it is
made of (these need no torch); ``blocks`` and ``efficientdet`` build it.
"""
