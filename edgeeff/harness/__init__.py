"""What a bundle is worth on this machine: accuracy, latency, and whether it does what was built.

Modules: ``accuracy`` (evaluate), ``latency`` (benchmark; ``launch`` is its child process), ``verify``
(an artifact against the hub's and the float logits), ``machine`` (what a figure needs beside it).
Part of the device wing: neither torch nor onnx.
"""
