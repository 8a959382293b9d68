"""Whether a request can be built: everything that can be refused before any work is done, by concern."""
