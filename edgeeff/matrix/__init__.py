"""Models × targets × devices: what ``matrix.toml`` asks for, spread over processes, machines and boards.

Builds and evaluations run on Dask (:mod:`.cluster`); what a board measures runs here, one thread for each
board (:mod:`.boards`), since a result that a dead worker held would be measured again. Every result lies
under the digest of all that decides it (:mod:`.store`) before it counts, so that a second run does what is
missing.
"""
