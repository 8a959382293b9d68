"""Where bundles run: boards that an address names, each kind of address a file of ``kinds/``."""
