"""Labelled photos as arrays: opened, split, varied, decoded, and prepared as the deployment prepares them."""
