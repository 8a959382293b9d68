"""An example of a plug-in of edgeeff; its tests build with it (``tests/test_plugin.py``)."""
