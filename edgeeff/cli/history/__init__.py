"""Look at stored results: runs, trends, and since which run a figure is another one.

Reports of build, eval, bench and gate are stored in EDGEEFF_HISTORY: a file, postgresql://user@host/database,
or off. Default: a file in the user's state folder, where the extra history is installed.
"""
