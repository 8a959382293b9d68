"""Scripts that a bundle carries to its device: Python 3.8, tensorrt, and numpy to verify; nothing else."""
