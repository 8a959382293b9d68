"""One file for each revision, ``r<revision>_<what>.py``; a file that was released is never changed."""
