"""Figures as inline SVG that fits any width: across in per cent of the width, down in pixels.

So letters keep their size on a telephone and on a wide screen. Colours are classes of the page's style: they
follow its dark mode, and print. All text passes markupsafe: nothing that a file says becomes markup.
"""
