"""How close does a character model come to the best there can be, and what does it write?

The text comes from a small grammar whose probabilities are known, so its entropy rate is exact: no model of whatever
size can get below it. An LSTM that sees only characters has to find out about words, sentences, and that a verb agrees
with a noun several words before it. It then writes, character by character, as it draws. The picture shows where the
bits are: how many each character of a held-out passage costs the grammar, which cannot be beaten, and the LSTM.

    python examples/text_streaming.py
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

import deepgen as dg
from deepgen.plot.figures import PALETTE, new_figure, quiet, save, series

# state: words that can come, with what probability, and the state after each
GRAMMAR = {
    "sentence": [(0.7, "the", "any"), (0.15, "a", "one"), (0.15, "many", "several")],
    "any": [(0.5 / 3, noun, "singular") for noun in ("cat", "dog", "bird")]
    + [(0.5 / 3, noun, "plural") for noun in ("cats", "dogs", "birds")],
    "one": [(1 / 3, noun, "singular") for noun in ("cat", "dog", "bird")],
    "several": [(1 / 3, noun, "plural") for noun in ("cats", "dogs", "birds")],
    "singular": [(0.3, "sings.", "sentence"), (0.4, "sleeps.", "sentence"), (0.3, "that", "clause of one")],
    "plural": [(0.3, "sing.", "sentence"), (0.4, "sleep.", "sentence"), (0.3, "that", "clause of several")],
    "clause of one": [(0.5, f"the {who} saw", "singular") for who in ("king", "queen")],
    "clause of several": [(0.5, f"the {who} saw", "plural") for who in ("king", "queen")],
}


def write(characters: int, stream: torch.Generator) -> tuple[str, float]:
    """A text of about so many characters, and its log-probability under the grammar, in nats."""
    words, total, log_p, state = [], 0, 0.0, "sentence"
    while total < characters or state != "sentence":
        options = GRAMMAR[state]
        choice = int(torch.multinomial(torch.tensor([p for p, _, _ in options]), 1, generator=stream))
        p, word, state = options[choice]
        words.append(word)
        total, log_p = total + len(word) + 1, log_p + math.log(p)
    return " ".join(words) + " ", log_p


def surprise(text: str) -> Tensor:
    """Nats of each character of ``text`` under the grammar, given those before it; their sum is -log p of the text."""
    nats, state, begun = [], "sentence", ""
    for character in text:
        before = [p for p, word, _ in GRAMMAR[state] if f"{word} ".startswith(begun)]
        begun += character
        left = [(p, f"{word} ", after) for p, word, after in GRAMMAR[state] if f"{word} ".startswith(begun)]
        nats.append(math.log(sum(before) / sum(p for p, _, _ in left)))
        if left[0][1] == begun:  # no word with its space is the beginning of another
            state, begun = left[0][2], ""
    return torch.tensor(nats, dtype=torch.float64)


def entropy_rate() -> float:
    """Nats per character: the entropy of a word over its mean length, each at the rates at which states come up."""
    names = list(GRAMMAR)
    step = torch.zeros(len(names), len(names), dtype=torch.float64)
    for state, options in GRAMMAR.items():
        for p, _, after in options:
            step[names.index(state), names.index(after)] += p
    rate = torch.linalg.matrix_power(0.5 * (step + torch.eye(len(names))), 1024)[0].tolist()
    entropy = sum(r * -p * math.log(p) for r, name in zip(rate, names, strict=True) for p, _, _ in GRAMMAR[name])
    length = sum(r * p * (len(word) + 1) for r, name in zip(rate, names, strict=True) for p, word, _ in GRAMMAR[name])
    return entropy / length


def allowed(text: str) -> float:
    """The share of whole sentences in ``text`` that the grammar could have written."""
    sentences = [sentence.strip() + "." for sentence in text.split(".")[:-1]]
    return sum(map(_parses, sentences)) / max(len(sentences), 1)


def _parses(sentence: str, state: str = "sentence") -> bool:
    for _, word, after in GRAMMAR[state]:
        if sentence == word and after == "sentence":
            return True
        if sentence.startswith(word + " ") and _parses(sentence[len(word) + 1 :], after):
            return True
    return False


def draw(text: str, exact: Tensor, learned: Tensor, path: Path, width: int = 60) -> Path:
    """Bits of each character, in lines of ``width`` characters that stand under their bars."""
    lines = -(-len(text) // width)
    figure = new_figure(860, 130 * lines + 30)
    figure.set_layout_engine("constrained")
    for i, ax in enumerate(figure.subplots(lines, 1, sharey=True, squeeze=False)[:, 0]):
        part = slice(i * width, (i + 1) * width)
        place = range(len(text[part]))
        paid, least = ((nats[part] / math.log(2)).tolist() for nats in (learned, exact))
        quiet(ax)
        ax.bar(place, paid, width=0.8, color=series(0), label="LSTM")
        ends = [x - 0.45 for x in place], [x + 0.45 for x in place]
        ax.hlines(least, *ends, color=series(1), linewidth=2, label="grammar, exact")
        ax.set(xticks=place, xlim=(-1, width))
        letters = text[part].replace(" ", "\N{OPEN BOX}")
        ax.set_xticklabels(letters, family="monospace", fontsize=9, color=PALETTE["ink"])
        ax.set_ylabel("bits", fontsize=8, color=PALETTE["muted"])
        if i == 0:
            ax.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1, 0.97), ncols=2)
            ax.set_title("bits that each character costs, given those before it", fontsize=9, loc="left")
    return save(figure, path)


def main(
    characters: int = 200_000,
    hidden: int = 96,
    epochs: int = 12,
    out: Path = Path("runs/examples"),
    seed: int = 0,
) -> dict[str, float]:
    stream = dg.random.generator(seed)
    (train, _), (test, log_p) = write(characters, stream), write(20_000, stream)
    alphabet = sorted(set(train))
    codes, held_out = (torch.tensor([alphabet.index(c) for c in text]) for text in (train, test))

    windows = codes[: len(codes) // 64 * 64].view(-1, 64)
    model = dg.explicit.CharRNN(len(alphabet), hidden, embedding=16, length=64, generator=seed).initialise(windows)
    adam = torch.optim.Adam(model.parameters(), lr=5e-3)
    adam.register_step_pre_hook(dg.optim.Clip(norm=1.0))  # a steep place of a recurrent network throws no step far
    dg.fit(
        model,
        windows,
        dg.objectives.MaximumLikelihood(),
        epochs=epochs,
        batch_size=32,
        optimizer=adam,
        schedule=lambda done: 1 - done,
        seed=seed,
    )

    with torch.no_grad():
        each = -model.token_log_prob(held_out.unsqueeze(0))[0]
    exact, best, learned = entropy_rate(), -log_p / len(test), float(each.double().mean())
    print(f"entropy rate of the grammar          {exact:.4f} nats per character")
    print(f"{len(test)} held-out characters, grammar {best:.4f}")
    print(f"                            LSTM     {learned:.4f}\n")

    written = "many birds that"
    print(written, end="")
    for token in model.stream([alphabet.index(c) for c in written], 3000, generator=seed):
        written += alphabet[token]
        if len(written) <= 600:  # the rest is only for the count
            print(alphabet[token], end="", flush=True)
    right = allowed(written)
    print(f"...\n\n{100 * right:.1f} % of the sentences it writes are in the grammar")
    nats = surprise(test)
    begin = test.rfind(". ", 0, test.index("that")) + 2  # a sentence whose verb agrees with a noun further back
    shown = slice(begin, begin + 180)
    picture = draw(test[shown], nats[shown], each[shown], out / "text_streaming.png")
    print(f"bits of each character in {picture}")
    return {"rate": exact, "best": best, "by character": float(nats.mean()), "learned": learned, "right": right}


if __name__ == "__main__":
    torch.set_num_threads(1)  # the matrices are too small to share
    main()
