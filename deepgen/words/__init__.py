"""Vectors of words, items and nodes from the company they keep: word2vec and the trainer under it."""

from deepgen.words.corpus import Corpus
from deepgen.words.train import LearningStopped, train_embeddings
from deepgen.words.vocabulary import Vocabulary
from deepgen.words.word2vec import Word2Vec, word2vec

__all__ = ["Corpus", "LearningStopped", "Vocabulary", "Word2Vec", "train_embeddings", "word2vec"]
