"""The steps that recipes are made of: one file each, found by its name.

A step is ``apply(draft, *, …) -> Draft``; its keyword arguments are what a recipe may set.
"""
