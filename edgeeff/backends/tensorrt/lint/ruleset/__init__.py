"""One rule a file, found by listing.

A rule says ``IDENTIFIER``, ``SEVERITY``, ``TITLE``, ``WHY`` (with its source), ``MEND``, where it does not
hold for every version also ``FIRST`` or ``BEFORE``, and ``check(view)``, which yields the node and what is
wrong with it. Sources: *parser* is TensorRT-RTX 1.7.1's, asked by tests/backends/tensorrt/lint; *importer*
is the source of onnx-tensorrt 8.5, 8.6 and 10.1, ``QuantDequantLinearHelper`` unless it says otherwise;
*compiler* is TensorRT-RTX 1.7.1's for SM86, asked by the same tests.
"""
