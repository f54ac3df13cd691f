"""Alias tables, by what they add up to."""

import numpy as np

from deepgen.graphs import graph
from deepgen.graphs.alias import tables
from tests.graphs.zoo import ZOO


def shares(found):
    """The probability of each edge in its row, by its tables."""
    made = tables(found)
    total = np.zeros(len(found.indices))
    for v in range(len(found)):
        begin, end = found.indptr[v], found.indptr[v + 1]
        for edge in range(begin, end):
            total[edge] += made.chance[edge] / (end - begin)
            total[begin + made.other[edge]] += (1 - made.chance[edge]) / (end - begin)
    return total


def test_tables_give_each_edge_its_share():
    rng = np.random.default_rng(0)
    wide = graph(10.0 ** rng.uniform(-6, 6, size=(20, 20)), directed=True)  # twelve orders of magnitude
    for found in (ZOO["weighted hub"](), ZOO["weighted web"](), wide):
        mass = np.repeat(tables(found).mass, np.diff(found.indptr))
        expected = found.weights.astype(float) / mass
        assert np.allclose(np.add.reduceat(expected, np.unique(found.indptr[:-1][np.diff(found.indptr) > 0])), 1)
        assert np.abs(shares(found) - expected).max() < 1e-7  # of float32
        small = expected < 1e-3
        assert np.allclose(shares(found)[small], expected[small], rtol=1e-3, atol=1e-9)


def test_tables_are_made_once_and_only_for_weights_that_differ():
    found = ZOO["weighted hub"]()
    assert tables(found) is tables(found)
    assert all(array.size == 0 for array in tables(ZOO["hub"]()))
    assert all(array.size == 0 for array in tables(graph(["a b 3", "b c 3"])))
