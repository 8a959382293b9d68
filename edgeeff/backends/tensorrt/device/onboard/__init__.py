"""What build_engine.py and verify.py are made of; Python 3.8, and numpy only where something is measured."""
