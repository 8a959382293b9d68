"""Places of a labgrid lab: the coordinator's own program, a claim on one place, and its sure release.

labgrid is called as a program, ``labgrid-client``: nothing of it is imported, and it may be installed in
another environment (pipx).
"""
