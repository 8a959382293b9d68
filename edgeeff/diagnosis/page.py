"""A diagnosis as one HTML file: no script, no font, no image from elsewhere; the plots are SVG (plots.py)."""

from __future__ import annotations

from html import escape

from edgeeff.diagnosis import plots
from edgeeff.diagnosis.findings import Diagnosis, Finding, shown_share

#: Histograms that are shown, the worst tensors'.
HISTOGRAMS = 24

_STYLE = """
:root { color-scheme: light dark; --ink: #17202a; --quiet: #64707d; --line: #d8dee4; --ground: #fff;
  --share: #c2410c; --alone: #f3b58f; --weights: #1d4ed8; --weights-alone: #a9bff5; --bars: #94a3b8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --quiet: #9aa5b1; --line: #333b44;
  --ground: #14181c; --share: #fb923c; --alone: #7c4a21; --weights: #7ea2ff; --weights-alone: #2d4483;
  --bars: #64748b; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground);
  max-width: 1120px; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .4rem; }
p.quiet, figcaption, dl { color: var(--quiet); margin: .2rem 0 .8rem; }
ul.advice { padding-left: 1.1rem; } ul.advice li { margin: .25rem 0; }
figure { margin: 0; } svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--quiet); font: 11px system-ui, sans-serif; } svg .name { fill: var(--ink); }
svg line { stroke: var(--line); } svg .zero { stroke: var(--quiet); }
.share { fill: var(--share); } .alone { fill: var(--alone); }
.weights { fill: var(--weights); } .weights-alone { fill: var(--weights-alone); }
.bars { fill: var(--bars); } svg .code { stroke: var(--share); stroke-width: 1.5; }
.beyond { fill: var(--share); opacity: .14; }
.key { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 .9em; }
.key.share { background: var(--share); } .key.alone { background: var(--alone); }
.key.weights { background: var(--weights); } .key.weights-alone { background: var(--weights-alone); }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: 1.1rem 1.4rem; }
.grid figcaption { color: var(--ink); font-size: .85rem; margin: 0; overflow-wrap: anywhere; }
.grid small { color: var(--quiet); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; width: 100%; }
th { text-align: left; } th, td { padding: .25rem .7rem .25rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; } .figure { text-align: right; white-space: nowrap; }
dt { font-weight: 600; float: left; clear: left; margin-right: .6rem; } dd { margin: 0 0 .2rem 0; }
"""


def write(found: Diagnosis) -> str:
    """The page; the same diagnosis gives the same text."""
    title = f"{found.model} for {found.target}"
    tensors = [f for f in found.findings if f.kind == "tensor"]
    weights = [f for f in found.findings if f.kind == "weights"]
    pixels = plots.scale(tensors, weights)
    shown = sorted((f for f in tensors if f.histogram), key=lambda f: -f.share)[:HISTOGRAMS]
    sections = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="quiet">--effort {escape(found.effort)}: {escape("; ".join(found.notes))}</p>',
        f"<p><b>{found.sqnr:.1f} dB</b> {found.judged}, simulated.</p>",
        '<ul class="advice">' + "".join(f"<li>{escape(text)}</li>" for text in found.advice) + "</ul>",
        "<h2>The error along the network</h2>",
        "<figure><figcaption>Of each tensor, in the order of the graph:"
        '<span class="key share"></span>share of the error<span class="key alone"></span>alone</figcaption>',
        plots.along(tensors, "share", "alone", pixels),
        '<figcaption>Of each layer\'s weights:<span class="key weights"></span>share of the error'
        '<span class="key weights-alone"></span>alone</figcaption>',
        plots.along(weights, "weights", "weights-alone", pixels),
        "</figure>",
        "<h2>By part of the network</h2>",
        _table(
            ["part", ">members", ">share", ">alone"],
            [[g.name, str(g.members), shown_share(g), f"{g.alone:.1%}"] for g in found.groups],
        ),
        f"<h2>What the {len(shown)} worst tensors hold</h2>",
        '<p class="quiet">Values in calibration, their counts by the square root; the lines mark the lowest'
        " and the highest value that the codes hold.</p>",
        '<div class="grid">' + "".join(map(_histogram, shown)) + "</div>",
        "<h2>All tensors and layers</h2>",
        _findings(found),
        f'<p class="quiet">Kernels: {escape(found.kernels)}</p>',
        "<dl>" + "".join(f"<dt>{k}</dt><dd>{escape(v)}</dd>" for k, v in found.definitions.items()) + "</dl>",
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}: diagnosis</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(sections)
        + "\n</body>\n</html>\n"
    )


def _histogram(finding: Finding) -> str:
    beyond = "" if finding.outside is None else f", {finding.outside:.2%} of unseen values outside"
    figures = f"{finding.share:.1%} of the error{beyond}"
    return (
        f"<figure>{plots.histogram(finding)}<figcaption>{escape(finding.name)}<br>"
        f"<small>{escape(finding.what)}; {figures}</small></figcaption></figure>"
    )


def _findings(found: Diagnosis) -> str:
    rows = [
        [
            f.name,
            f"weights: {f.what}" if f.kind == "weights" else f.what,
            f"{f.codes[0]:.3g}…{f.codes[1]:.3g}",
            "" if f.seen is None else f"{f.seen[0]:.3g}…{f.seen[1]:.3g}",
            "" if f.outside is None else f"{f.outside:.2%}",
            shown_share(f),
            f"{f.alone:.1%}",
            f.kernel or "",
            f.advice,
        ]
        for f in found.worst()
    ]
    heads = ["tensor or layer", "what", ">codes hold", ">seen", ">outside", ">share", ">alone", "kernel"]
    return _table([*heads, "what to do"], rows)


def _table(heads: list[str], rows: list[list[str]]) -> str:
    """A table; columns that begin with > are set flush right."""
    kinds = [' class="figure"' if head.startswith(">") else "" for head in heads]
    top = "".join(f"<th{k}>{escape(h.lstrip('>'))}</th>" for k, h in zip(kinds, heads, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f"<td{k}>{escape(c)}</td>" for k, c in zip(kinds, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead>\n<tbody>{body}</tbody></table></div>'
