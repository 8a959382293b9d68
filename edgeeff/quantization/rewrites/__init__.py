"""Rewrites that a scheme or an input type wants.

Each is a pure function of graph, statistics and parameters; statistics are carried along by scale or by
channel, and no image is run.
"""
