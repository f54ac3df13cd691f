"""Can a date be read with the right doubt? Attention over written dates, beside the law that wrote them.

A date of the hundred years from 1950 on is written in words ("3 April 1998", "Apr 3, '98") or in figures, and then with
the day first in seven cases of ten: 3/4/1998 is the third of April or, three times in ten, the fourth of March. So the
law of the date given the text is known, and no reader has a higher log-likelihood in the mean. A `Seq2Seq` learns to
read from pairs. Beside it a MADE that is given the text as one long row, a column for every character at every place,
and must learn each word anew wherever it stands; and the best that can be said without the text. The picture shows
where the reader looked while it wrote each digit.

    python examples/read_dates.py
"""

from __future__ import annotations

import calendar
import datetime as dt
import math
import re
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import TensorDataset

import deepgen as dg
from deepgen.plot.figures import PALETTE, new_figure, save

FIRST, DAYS = dt.date(1950, 1, 1), (dt.date(2050, 1, 1) - dt.date(1950, 1, 1)).days
MONTHS = calendar.month_name[1:]
ALPHABET = sorted(set("".join(MONTHS) + "0123456789 /,'"))
DAY_FIRST, IN_FIGURES = 0.7, 0.5
IN_WORDS = (r"\d+ \w+ \d{4}", r"\w+ \d+, \d{4}", r"\d+ \w+ '\d\d", r"\w+ \d+, '\d\d")


class Dates(NamedTuple):
    """Dates as written, and as read: texts, x ``[n, S]`` padded by -1, y ``[n, 8]`` digits, log p(y | x) ``[n]``."""

    texts: list[str]
    x: Tensor
    y: Tensor
    log_p: Tensor


def written(date: dt.date, choice: float) -> tuple[str, float]:
    """A way to write ``date``, one for every number from 0 to 1; and log p of the date given that text, in nats."""
    day, month, year = date.day, MONTHS[date.month - 1], date.year
    if choice < IN_FIGURES:
        first = choice < DAY_FIRST * IN_FIGURES
        two_ways = day <= 12 and day != date.month  # both dates are there, and as frequent as one another
        p = (DAY_FIRST if first else 1 - DAY_FIRST) if two_ways else 1.0
        return f"{day}/{date.month}/{year}" if first else f"{date.month}/{day}/{year}", math.log(p)
    ways = (f"{day} {month} {year}", f"{month} {day}, {year}", f"{day} {month[:3]} '{year % 100:02}",
            f"{month[:3]} {day}, '{year % 100:02}")  # fmt: skip
    return ways[int((choice - IN_FIGURES) / (1 - IN_FIGURES) * len(ways))], 0.0


def write(n: int, stream: torch.Generator, without: frozenset[str] = frozenset()) -> Dates:
    """``n`` dates, all days alike, whose text is none of ``without``."""
    found: list[tuple[dt.date, str, float]] = []
    while len(found) < n:
        days, choices = torch.randint(DAYS, (n,), generator=stream), torch.rand(n, generator=stream)
        dates = [FIRST + dt.timedelta(days=day) for day in days.tolist()]
        drawn = [(date, *written(date, choice)) for date, choice in zip(dates, choices.tolist(), strict=True)]
        found += [one for one in drawn if one[1] not in without]
    dates, texts, log_p = (list(column) for column in zip(*found[:n], strict=True))
    return Dates(
        texts, codes(texts), torch.stack([digits(f"{date:%Y%m%d}") for date in dates]), torch.tensor(log_p).double()
    )


def codes(texts: list[str]) -> Tensor:
    """Texts as rows of tokens ``[n, S]``."""
    rows = [torch.tensor([ALPHABET.index(character) for character in text]) for text in texts]
    return pad_sequence(rows, batch_first=True, padding_value=-1)


def digits(date: str) -> Tensor:
    """A date YYYYMMDD as a row of tokens ``[8]``."""
    return torch.tensor([int(digit) for digit in date])


def columns(x: Tensor) -> Tensor:
    """A column for every character at every place of a text: ``[n, 18 characters]``."""
    return F.one_hot(F.pad(x, (0, 18 - x.shape[1]), value=-1) + 1, len(ALPHABET) + 1)[..., 1:].flatten(1).float()


def draw(reader: dg.explicit.Seq2Seq, shown: list[tuple[str, str]], path: Path) -> Path:
    """Where the reader looked in each text for every digit of a reading of it."""
    x = codes([text for text, _ in shown])
    y = torch.stack([digits(reading) for _, reading in shown])
    with torch.no_grad():
        looked, p = reader.alignment(y, x), reader.log_prob(y, x).exp()
    figure = new_figure(960, 520)
    figure.set_layout_engine("constrained")
    for i, ax in enumerate(figure.subplots(2, 3).flat):
        (text, reading), places = shown[i], len(shown[i][0])
        ax.imshow(looked[i, :8, :places].numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
        ax.set(xticks=range(places), yticks=range(8))
        ax.set_xticklabels(text.replace(" ", "\N{OPEN BOX}"), family="monospace", color=PALETTE["ink"])
        ax.set_yticklabels(reading, family="monospace", color=PALETTE["ink"])
        ax.tick_params(length=0)
        ax.spines[:].set_color(PALETTE["rule"])
        name = f"{reading[:4]}-{reading[4:6]}-{reading[6:]}"
        ax.set_title(f"p({name} | {text}) = {p[i]:.3f}", fontsize=9, loc="left", color=PALETTE["ink"])
    return save(figure, path)


def both_ways(text: str) -> tuple[str, str]:
    """The digits of a date in figures, read with the day first and with the month first."""
    first, second, year = map(int, text.split("/"))
    return f"{year}{second:02}{first:02}", f"{year}{first:02}{second:02}"


def main(
    rows: int = 10_000,
    tests: int = 3_000,
    hidden: int = 40,
    epochs: int = 4,
    out: Path = Path("runs/examples"),
    seed: int = 0,
) -> dict[str, float]:
    stream = dg.random.generator(seed)
    train = write(rows, stream)
    test = write(tests, stream, frozenset(train.texts))  # texts that no model has seen

    reader = dg.explicit.Seq2Seq(len(ALPHABET), 10, hidden, embedding=24, longest=8, generator=seed)
    made = dg.explicit.MADE(8, [256], categories=10, context=18 * len(ALPHABET), generator=seed)
    for model, x, rate, passes in ((reader, train.x, 0.01, epochs), (made, columns(train.x), 0.003, 2 * epochs)):
        dg.fit(
            model.initialise(train.y), TensorDataset(train.y, x), dg.objectives.MaximumLikelihood(), epochs=passes,
            batch_size=64, optimizer=torch.optim.Adam(model.parameters(), lr=rate), schedule=lambda done: 1 - done,
            seed=seed, progress=False,
        )  # fmt: skip

    each = {
        "the law itself": test.log_p,
        "Seq2Seq": dg.evaluate.log_likelihood(reader, (test.y, test.x)).each,
        "MADE, the text as columns": dg.evaluate.log_likelihood(made, (test.y, columns(test.x))).each,
    }
    print(f"log p(date | text), nats/date, of {tests} texts not seen before; exact, ± over the texts")
    for name, values in each.items():
        print(f"  {name:27}{mean(values)}")
    print(f"  {'all days alike, unread':27}{-math.log(DAYS):.4f}")
    behind = each["the law itself"] - each["Seq2Seq"]
    print(f"Seq2Seq is behind the law by {mean(behind)}")

    right = (reader.greedy(test.x) == test.y).all(1).double()
    best = (test.log_p > math.log(0.5)).double()  # who takes the likelier reading
    print(f"dates read right: {mean(100 * right, 1)} %; by the law's own likelier reading {mean(100 * best, 1)} %")
    doubtful = [i for i in range(tests) if test.log_p[i] < 0]
    both = [both_ways(test.texts[i]) for i in doubtful]
    with torch.no_grad():
        ways = [torch.stack([digits(way) for way in reading]) for reading in zip(*both, strict=True)]
        p = reader(test.x[doubtful]).log_prob(torch.stack(ways)).exp()  # [2 ways, texts]
    total, share = p.sum(0), p[0] / p.sum(0)
    middle, (low, high) = share.mean(), share.quantile(torch.tensor([0.25, 0.75])).tolist()
    print(f"{len(doubtful)} texts can be read two ways; Seq2Seq gives both together {total.mean():.3f}, of that to")
    print(f"the day first {middle:.3f}, for half of the texts {low:.3f} to {high:.3f}; the law says {DAY_FIRST:g}")

    held_out = [next(i for i, text in enumerate(test.texts) if re.fullmatch(way, text)) for way in IN_WORDS]
    shown = [(test.texts[i], "".join(map(str, test.y[i].tolist()))) for i in held_out]
    picture = draw(reader, shown + [(test.texts[doubtful[0]], way) for way in both[0]], out / "read_dates.png")
    print(f"where Seq2Seq looked in {picture}")
    return {
        **{name: float(values.mean()) for name, values in each.items()},
        "behind": float(behind.mean()),
        "behind, error": float(behind.std()) / tests**0.5,
        "right": float(right.mean()),
        "best": float(best.mean()),
        "together": float(total.mean()),
        "day first": float(share.mean()),
    }


def mean(values: Tensor, places: int = 4) -> str:
    """The mean and its standard error."""
    return f"{values.mean():.{places}f} ± {values.std() / len(values) ** 0.5:.{places}f}"


if __name__ == "__main__":
    torch.set_num_threads(1)  # the matrices are too small to share
    main()
