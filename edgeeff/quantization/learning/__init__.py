"""Scales, biases and weights of a whole plan learned at once, for the outputs to be the float graph's again.

The quantised graph runs with its roundings in place; their gradients pass straight through (Bengio et al.
2013), and a scale has the gradient of Esser et al. 2020 (LSQ). The teacher is the float graph on the same
images, no label is needed. Weights move in units of their codes, scales in units of their logarithm, biases
in units of the layer's own, so that one learning rate of each kind serves every layer.

``short`` is the step ``learn`` of a recipe: so many steps on the calibration images. ``training`` goes on
from there as long as a budget asks, on images that are streamed.
"""
