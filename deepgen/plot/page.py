"""The HTML of the report: one style sheet, and a handful of functions from text to markup.

Nothing on the page is fetched: the style is inline, pictures are ``data:`` addresses or inline SVG, and there is no
script. Whatever came from outside goes through `html.escape`.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from torch import Tensor

from deepgen.evaluate.error_bars import plus_minus
from deepgen.plot.figures import PALETTE, SERIES

# The second values of `deepgen.plot.figures.PALETTE`: the same hues, at 4.5 : 1 or more on the dark background.
DARK = {
    "ink": "#e4e7eb",
    "muted": "#9aa4af",
    "rule": "#343b43",
    "s0": "#74b0ee",
    "s1": "#f29b62",
    "s2": "#6fc795",
    "s3": "#bf9fe8",
    "s4": "#f08aa6",
    "s5": "#d3b54c",
    "s6": "#5cc6d0",
    "s7": "#e98fe0",
    "s8": "#adc957",
    "s9": "#cda58c",
}


def _variables(colours: Mapping[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())


_LIGHT_ROOT = f":root{{color-scheme:light;--page:#fdfdfc;--card:#ffffff;{_variables(PALETTE)}}}"
_DARK_ROOT = f":root{{color-scheme:dark;--page:#14171a;--card:#1b1f24;{_variables(DARK)}}}"

STYLE = (
    # Images of ink on paper turn light on dark on a dark page.
    _LIGHT_ROOT
    + f"@media screen and (prefers-color-scheme:dark){{{_DARK_ROOT}"
    + """
img.ink{filter:invert(.9) hue-rotate(180deg)}img.weights{filter:invert(.9) hue-rotate(180deg) saturate(1.5)}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,
"Noto Sans","Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums lining-nums}
main,header,footer{max-width:70rem;margin:0 auto;padding:0 1.5rem}
header{padding-top:3.5rem}
h1{font-size:2rem;line-height:1.2;letter-spacing:-.015em;font-weight:650;margin:0 0 .6rem;text-wrap:balance}
h2{font-size:1.25rem;line-height:1.3;letter-spacing:-.005em;font-weight:620;margin:0 0 .4rem}
h3{font-size:1rem;font-weight:600;margin:0 0 .5rem}
p{margin:0 0 1rem;max-width:44rem}
.lede{font-size:1.1rem;color:var(--muted);margin-bottom:1.6rem}
section{margin:3.5rem 0 0;padding-top:1.6rem;border-top:1px solid var(--rule)}
section>p,.note{color:var(--muted)}
a{color:var(--s0);text-underline-offset:.2em}
a:focus-visible,summary:focus-visible{outline:2px solid var(--s0);outline-offset:3px}
nav{font-size:.9rem;margin:1.6rem 0 0}
nav a{display:inline-block;margin:0 1.1rem .3rem 0;text-decoration:none}
nav a:hover{text-decoration:underline}
dl.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(12.5rem,100%),1fr));gap:.9rem 1.8rem;margin:0}
dl.facts dt,.label{font-size:.78rem;color:var(--muted)}
dl.facts dd{margin:0;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;font-size:.94rem;margin:1.2rem 0}
th,td{text-align:left;vertical-align:baseline;padding:.55rem .9rem .55rem 0;border-bottom:1px solid var(--rule)}
th:last-child,td:last-child{padding-right:0}
thead th{font-weight:500;font-size:.8rem;color:var(--muted);vertical-align:bottom}
tbody th{font-weight:600}
tr.again th{font-weight:400;color:var(--muted)}
tr.group th{padding-top:1.3rem;font-weight:500;font-size:.88rem;color:var(--muted)}
tr.note td{font-size:.86rem;line-height:1.45;color:var(--muted);padding-top:.3rem}
tr.floor th{font-weight:400;color:var(--muted)}
.num{text-align:right;white-space:nowrap}
td small,th small{display:block;color:var(--muted);font-weight:400;font-size:.8rem}
td.plot,th.plot{width:12.2rem}
td.side{min-width:6rem}
td.plot{vertical-align:middle;padding-top:0;padding-bottom:0;background:var(--grid)}
th.nowrap,td.nowrap{white-space:nowrap}
.plot svg,.key svg{display:block;overflow:visible}
.chip{display:inline-block;width:.7em;height:.7em;border-radius:2px;margin-right:.5em}
dl.key{display:grid;grid-template-columns:max-content 1fr;gap:.25rem .8rem;font-size:.88rem;color:var(--muted);
max-width:52rem;margin:1rem 0 0}
dl.key dt{color:var(--ink);white-space:nowrap;display:flex;align-items:center;gap:.45rem}
dl.key dd{margin:0}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(19rem,100%),1fr));gap:1.8rem 1.6rem;
margin:1.4rem 0 0}
.cards.wide{grid-template-columns:repeat(auto-fill,minmax(min(28rem,100%),1fr))}
.cards+p{margin-top:1.8rem}
figure{margin:0;min-width:0;break-inside:avoid}
figcaption{font-size:.88rem;color:var(--muted);margin-top:.5rem;line-height:1.5}
figcaption b{color:var(--ink);font-weight:600}
img{display:block;width:100%;height:auto}
figure>svg,.panel svg{display:block;width:100%;height:auto}
.pairs{display:flex;flex-wrap:wrap;gap:.7rem .6rem;margin:0;padding:0;list-style:none}
.pairs li{width:2.6rem;text-align:center;font-size:.78rem;color:var(--muted);line-height:1.7}
.held{overflow-x:auto;overflow-y:hidden}.scroll{overflow-x:auto}.scroll table{width:auto}.tables{margin:1.4rem 0 0}
pre{margin:0;font:.85rem/1.5 ui-monospace,"Cascadia Mono",Menlo,Consolas,monospace;white-space:pre-wrap;
overflow-wrap:anywhere;background:var(--card);border:1px solid var(--rule);padding:.8rem 1rem}
.heat img{height:22rem;image-rendering:pixelated}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.3rem;font-size:.88rem;margin:1rem 0 0;padding:0;list-style:none}
details{border-bottom:1px solid var(--rule);padding:.7rem 0}
summary{cursor:pointer;font-weight:600}
summary span{font-weight:400;color:var(--muted)}
details table{font-size:.85rem;margin:.6rem 0 .4rem}
details td,details th{padding-top:.25rem;padding-bottom:.25rem;border:0;overflow-wrap:anywhere}
details th{width:13rem;font-weight:400;color:var(--muted)}
details tr.mark>*{border-top:1px solid var(--rule);padding-top:.5rem;color:var(--ink)}
@media screen and (max-width:72rem) and (min-width:66.01rem){
table.stack{font-size:.86rem}table.stack th,table.stack td{padding-right:.6rem}}
footer{margin-top:4rem;padding-bottom:3rem;font-size:.85rem;color:var(--muted)}
@media screen and (max-width:46rem){
header{padding-top:2rem}main,header,footer{padding-left:1.1rem;padding-right:1.1rem}
h1{font-size:1.6rem}details th{width:8rem}}
@media screen and (max-width:66rem){
table.stack thead{display:none}
table.stack tr{display:block;padding:.8rem 0;border-bottom:1px solid var(--rule)}
table.stack th,table.stack td{display:flex;justify-content:space-between;gap:1rem;border:0;padding:.12rem 0;
text-align:right;width:auto;min-width:0}
table.stack th{text-align:left;font-size:1.02rem}
table.stack td::before{content:attr(data-label);color:var(--muted);font-size:.85rem;text-align:left;flex:none}
table.stack td:empty{display:none}
table.stack tr.note td{display:block;text-align:left}table.stack tr.note th:empty{display:none}
table.stack tr.group{border:0;padding-bottom:0}table.stack tr.group th{font-size:.88rem}
table.stack td.plot{padding:.2rem 0;justify-content:flex-start}
table.stack td.plot::before{content:none}}
@media print{
:root{--page:#fff}body{font-size:10.5pt}main,header,footer{max-width:none;padding-left:0;padding-right:0}
header{padding-top:0}section{margin-top:1.6rem;padding-top:1rem}nav{display:none}
h2,h3{break-after:avoid}tr,li{break-inside:avoid}
details::details-content{content-visibility:visible;display:block;height:auto}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
"""
)


def document(title: str, header: str, sections: Iterable[tuple[str, str, str]], footer: str) -> str:
    """The page. ``sections`` are (anchor, heading, markup); all but headings and titles is markup already."""
    parts = [(anchor, heading, body) for anchor, heading, body in sections if body]
    links = "".join(f'<a href="#{anchor}">{escape(heading)}</a>' for anchor, heading, _ in parts)
    body = "".join(
        f'<section id="{anchor}" aria-labelledby="h-{anchor}"><h2 id="h-{anchor}">{escape(heading)}</h2>\n'
        f"{markup}</section>\n"
        for anchor, heading, markup in parts
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta name="generator" content="deepgen"><meta name="referrer" content="no-referrer">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style></head>\n<body>\n"
        f'<header><h1>{escape(title)}</h1>\n{header}\n<nav aria-label="Sections">{links}</nav></header>\n'
        f"<main>\n{body}</main>\n<footer>{footer}</footer>\n</body>\n</html>\n"
    )


def facts(values: Mapping[str, Any]) -> str:
    """A definition list of short facts, laid out in columns."""
    pairs = "".join(
        f"<div><dt>{escape(str(k).replace('_', ' '))}</dt><dd>{escape(plain(v))}</dd></div>" for k, v in values.items()
    )
    return f'<dl class="facts">{pairs}</dl>'


def table(head: Iterable[str], rows: Iterable[str], caption: str, grid: str) -> str:
    """A table that turns into cards on narrow screens; head cells and rows are markup, ``grid`` a CSS background.

    It never makes the page wider than the screen: what has no room is scrolled to inside it.
    """
    cells = "".join(head)
    return (
        f'<div class="held"><table class="stack" style="--grid:{grid}" aria-label="{escape(caption, quote=True)}">'
        f"<thead><tr>{cells}</tr></thead>\n<tbody>{''.join(rows)}</tbody></table></div>\n"
    )


def picture(grid: Tensor, alt: str, kind: str, *, width: int = 640) -> str:
    """``[height, width, 4]`` uint8 as an ``<img>`` of about ``width`` pixels, each array element a square block.

    ``kind`` is ``ink`` or ``weights`` for pictures on white, which turn dark on a dark page, or ``photo`` for others.
    """
    from matplotlib.image import imsave

    block = max(1, round(width / grid.shape[1]))
    pixels = grid.repeat_interleave(block, 0).repeat_interleave(block, 1)
    buffer = io.BytesIO()
    imsave(buffer, pixels.numpy(), format="png", metadata={})
    size = f'width="{pixels.shape[1]}" height="{pixels.shape[0]}"'
    address = base64.b64encode(buffer.getvalue()).decode()
    return f'<img class="{kind}" {size} alt="{escape(alt, quote=True)}" src="data:image/png;base64,{address}">'


def figure(content: str, caption: str) -> str:
    """A picture with its caption; both are markup."""
    return f"<figure>{content}<figcaption>{caption}</figcaption></figure>\n"


def variable(index: int) -> str:
    """The CSS colour of the ``index``-th model, the same all over the page."""
    return f"var(--s{index % len(SERIES)})"


def legend(names: Iterable[tuple[int, str]]) -> str:
    """The models by number and name, each beside its colour."""
    items = (f'<li><i class="chip" style="background:{variable(i)}"></i>{escape(name)}</li>' for i, name in names)
    return f'<ul class="legend">{"".join(items)}</ul>'


def number(value: float, decimals: int = 2) -> str:
    """``-1.5`` as −1.50, with a true minus sign; a dash for NaN.

    >>> number(-1.5), number(float("nan")), number(-math.inf)
    ('−1.50', '–', '−∞')
    """
    return "–" if math.isnan(value) else f"{value:,.{decimals}f}".replace("-", "−").replace("inf", "∞")


def with_error(value: float, error: float) -> tuple[str, str]:
    """Value and error apart, each with the digits that `deepgen.evaluate.plus_minus` gives it; a dash for no error.

    >>> with_error(-90.12345, 0.00312), with_error(2.5, float("nan"))
    (('−90.1235', '0.0031'), ('2.50', '–'))
    """
    text, _, digits = plus_minus(value, error).partition(" ± ")
    return number(value, len(text.partition(".")[2])), digits.replace("?", "–").replace("inf", "∞")


def plain(value: Any) -> str:
    """Any setting in a few words.

    >>> plain({"rows": 1078, "split": [60, 20, 20]}), plain(Tensor([1, 2])), plain(0.1 + 0.2)
    ('rows: 1078, split: 60, 20, 20', 'tensor [2]', '0.3')
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{k}: {plain(v)}" for k, v in value.items())
    if isinstance(value, Tensor):
        return f"tensor {list(value.shape)}" if value.ndim else f"{value.item():.6g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(v) for v in value[:12]) + (f", … ({len(value)})" if len(value) > 12 else "")
    return f"{value:.6g}" if isinstance(value, float) else str(value)
