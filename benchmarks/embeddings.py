"""Speed of embeddings beside their peers:  python benchmarks/embeddings.py [walks | words]

    walks      biased walks, and whether they follow their law (embedding_walks.py)
    words      skip-gram and the continuous bag of words (embedding_words.py)

Data are read from the folder that DEEPGEN_DATA names.
"""

from __future__ import annotations

import argparse

import embedding_walks
import embedding_words
import torch

PARTS = {"walks": embedding_walks.run, "words": embedding_words.run}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="which; all by default")
    torch.set_num_threads(1)
    for part in parser.parse_args().parts or PARTS:
        PARTS[part]()
