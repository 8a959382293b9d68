"""A gate's report as others read it: one file for each format, each a function ``text`` of the report."""
