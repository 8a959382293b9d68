"""From statistics to a plan, and from a plan to a Q/DQ graph.

    placement → rewrites → ranges → rounding → bias → plan → qdq

Each word is a file that can be changed without opening the others; ``quantize.py`` calls them in order.
"""
