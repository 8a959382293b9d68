"""The steps that recipes are made of: one file each, or an entry point of another distribution.

A step is ``apply(draft, *, …) -> Draft``; its keyword arguments are what a recipe may set. One that asks for
what the logits make of noise (``draft.evidence.gain``) says so by ``asks_gain(*, …) -> bool``, of the same
arguments, so that this is measured before anything large is held.
"""
