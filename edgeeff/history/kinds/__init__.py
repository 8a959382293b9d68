"""What is kept of each kind of report: one file for each ``record.kind``, found by its name.

``said(report, bundles)`` takes a report's JSON, whose types nobody has checked, and the names that it has for
its bundles; it returns a :class:`~edgeeff.history.figures.Said`, or raises ValueError, TypeError, KeyError or
AttributeError where the report is not of the form.
"""
