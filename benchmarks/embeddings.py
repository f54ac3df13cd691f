"""Speed of embeddings beside their peers:  python benchmarks/embeddings.py [walks | words | whole]

    walks      biased walks, and whether they follow their law (embedding_walks.py)
    words      skip-gram and the continuous bag of words (embedding_words.py)
    whole      node2vec from a graph to its vectors: wall time and memory, and a large graph (embedding_whole.py)

Data are read from the folder that DEEPGEN_DATA names.
"""

from __future__ import annotations

import argparse

import embedding_walks
import embedding_whole
import embedding_words
import torch

PARTS = {"walks": embedding_walks.run, "words": embedding_words.run, "whole": embedding_whole.run}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="which; all by default")
    torch.set_num_threads(1)
    for part in parser.parse_args().parts or PARTS:
        PARTS[part]()
