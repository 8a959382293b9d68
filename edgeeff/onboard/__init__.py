"""What is pushed to a board: Python 3.8, the standard library, numpy and a runtime."""
