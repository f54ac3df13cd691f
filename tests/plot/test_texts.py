"""The report's section for texts, and its points in a plane."""

import itertools

import pytest
import torch

from deepgen.plot import Entry
from deepgen.plot.rows import samples as rows_section
from deepgen.plot.scatter import scatter
from deepgen.plot.texts import longest_shared, samples


@pytest.mark.parametrize("letters", ["ab", "abcde"])
def test_the_longest_shared_passage_is_that_of_all_pairs(stream, letters):
    def draw(n):
        return "".join(letters[i] for i in torch.randint(len(letters), (n,), generator=stream).tolist())

    text, other = draw(60), draw(80)
    cuts = [text[i:j] for i, j in itertools.combinations(range(61), 2)]
    found = longest_shared(text, other)
    assert found in text
    assert found in other
    assert len(found) == max(len(cut) for cut in cuts if cut in other)


def test_nothing_is_shared_with_other_letters():
    assert longest_shared("abc", "xyz") == ""


def test_a_text_is_shown_as_it_reads_and_escaped():
    alphabet, train = "\n<ab", torch.tensor([[2, 3, 2, 3], [1, 2, 3, 0]])
    entry = Entry("LSTM", samples=torch.tensor([[2, 3, 1, 2, 2]]))
    page = samples([entry], train, train[:1], alphabet)
    assert "<pre>ab&lt;aa</pre>" in page
    assert "<pre>abab</pre>" in page
    assert "4 characters, “abab”" in page  # the held-out row itself
    assert "4 characters, “ab&lt;a”" in page  # across the end of a row, as rows follow one another
    assert samples([Entry("no samples")], train, train, alphabet) == ""


def test_points_are_on_the_range_of_the_data_and_those_beyond_are_counted(stream):
    real, x = torch.rand(100, 2, generator=stream), torch.rand(50, 2, generator=stream)
    x[:7] += 100
    page = scatter([(0, Entry("flow", samples=x))], real, ["width", "height"])
    assert page.count("<svg") == 2
    assert "<b>flow</b>: 50 rows; 7 lie outside of the picture." in page
    assert "<b>Real data</b>, held out of training: 100 rows." in page
    assert "width" in page


def test_points_are_drawn_of_two_real_columns_alone(stream):
    real, names = torch.randn(100, 2, generator=stream), ["a", "b"]
    assert "as points" in rows_section([Entry("flow", samples=real + 1)], real, names)
    bits = (real > 0).float()
    assert "as points" not in rows_section([Entry("flow", samples=bits)], bits, names)
    three = torch.randn(100, 3, generator=stream)
    assert "as points" not in rows_section([Entry("flow", samples=three)], three, ["a", "b", "c"])
