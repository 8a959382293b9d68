"""Images on which bundles disagree with the float control, or with their labels."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from edgeeff.report.material import Material

ORDER = 100
TITLE = "Images that are decided otherwise"


def content(material: Material) -> Mapping[str, Any] | None:
    """Small pictures, each with what it is and what was said of it."""
    if not material.galleries:
        return None
    letters = {one.name: one for one in material.subjects}
    shown = []
    for gallery in material.galleries:
        photos = [
            {
                "name": one.name,
                "truth": one.truth,
                "decided": [
                    (letters.get(name), name, said, said == one.truth if one.truth else None)
                    for name, said in one.decided.items()
                ],
                "source": Markup("data:image/jpeg;base64,{}").format(b64encode(one.picture).decode())
                if one.picture
                else "",
            }
            for one in gallery.photos
        ]
        named = dict.fromkeys(name for one in gallery.photos for name in one.decided)
        legend = [letters[name] for name in named if name in letters]
        shown.append(
            {
                "photos": photos,
                "count": gallery.count,
                "images": gallery.images,
                "against": gallery.against,
                "legend": legend,
            }
        )
    return {"galleries": shown}
