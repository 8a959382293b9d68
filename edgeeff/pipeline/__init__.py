"""From a request to verified bundles: ``build.py`` tells the story."""
