import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from deepgen.data.batches import as_tensor, batches, count
from deepgen.data.redrawn import Redrawn
from deepgen.errors import ArgumentError, ShapeError

ROWS = torch.arange(23.0).unsqueeze(1).expand(-1, 3).contiguous()


class Squares(Dataset):
    def __len__(self):
        return 23

    def __getitem__(self, i):
        return torch.tensor([float(i)]) + 0 * torch.rand(1), i * i


class Noisy(Dataset):
    """Rows that draw from torch's global stream, as random transforms do."""

    def __len__(self):
        return 23

    def __getitem__(self, i):
        return torch.rand(2) + i


class Counting(IterableDataset):
    def __iter__(self):
        return iter(torch.arange(7.0).unsqueeze(1))


def loader(**options):
    return DataLoader(TensorDataset(ROWS), batch_size=4, shuffle=True, **options)


SOURCES = {
    "tensor": lambda: ROWS,
    "array": lambda: ROWS.numpy(),
    "TensorDataset": lambda: TensorDataset(ROWS, ROWS + 1),
    "Dataset": Squares,
    "Subset": lambda: Subset(TensorDataset(ROWS), list(range(5, 20))),
    "random Dataset": Noisy,
    "Redrawn": lambda: Redrawn(torch.full((23, 3), 0.5), "binary"),
    "DataLoader": loader,
    "DataLoader with a generator": lambda: loader(generator=torch.Generator().manual_seed(5)),
    "DataLoader of Redrawn": lambda: DataLoader(Redrawn(torch.full((23, 3), 0.5), "binary"), batch_size=4),
    "DataLoader of a random Dataset": lambda: DataLoader(Noisy(), batch_size=4, shuffle=True),
}


def flat(batch):
    return torch.cat(
        [part.float().reshape(len(part), -1) for part in ([batch] if torch.is_tensor(batch) else batch)], 1
    )


def epoch_of(data, **options):
    return [flat(batch) for batch in batches(data, 4, **{"seed": 3, "epoch": 2, **options})]


@pytest.mark.parametrize("name", SOURCES)
def test_batches_are_a_pure_function_of_seed_epoch_and_number(name):
    data, torch_state = SOURCES[name](), torch.get_rng_state()
    once, again, fresh = epoch_of(data), epoch_of(data), epoch_of(SOURCES[name]())
    assert all(torch.equal(a, b) and torch.equal(a, c) for a, b, c in zip(once, again, fresh, strict=True))
    for start in range(len(once) + 1):
        rest = epoch_of(data, start=start)
        assert len(rest) == len(once) - start
        assert all(torch.equal(a, b) for a, b in zip(rest, once[start:], strict=True))
    assert torch.equal(torch.get_rng_state(), torch_state)
    for other in (epoch_of(data, seed=4), epoch_of(data, epoch=3)):
        assert not torch.equal(torch.cat(other), torch.cat(once))


@pytest.mark.parametrize("name", ["tensor", "array", "TensorDataset", "Dataset", "DataLoader"])
def test_an_epoch_has_every_row_once_and_the_last_batch_is_kept(name):
    made = epoch_of(SOURCES[name]())
    assert [len(batch) for batch in made] == [4, 4, 4, 4, 4, 3]
    assert torch.cat(made)[:, 0].sort().values.tolist() == list(range(23))


def test_the_rows_of_a_batch_stay_together():
    for x, y in batches(TensorDataset(ROWS, ROWS * 10), 5, seed=0, epoch=0):
        assert torch.equal(x * 10, y)


def test_wide_rows_and_narrow_rows_give_the_same_order():
    wide = ROWS[:, :1].expand(-1, 200_000)  # a batch above the megabyte gathered at once
    narrow = [batch[:, 0] for batch in batches(ROWS, 4, seed=1, epoch=1)]
    for a, b in zip(batches(wide, 4, seed=1, epoch=1), narrow, strict=True):
        assert torch.equal(a[:, 0], b)


def test_shuffling_is_uniform(seed):
    places = torch.zeros(4, 4)
    for epoch in range(2000):
        (batch,) = batches(torch.arange(4.0).unsqueeze(1), 4, seed=seed, epoch=epoch)
        places[torch.arange(4), batch[:, 0].long()] += 1
    spread = ((places - 500).abs() / (2000 * 0.25 * 0.75) ** 0.5).max()
    assert spread < 6  # 16 binomials: false alarm below 1e-6


def test_a_batch_larger_than_the_data_is_one_batch():
    assert [batch.shape for batch in batches(ROWS, 100, seed=0, epoch=0)] == [(23, 3)]
    assert [batch.shape for batch in batches(ROWS[:1], 100, seed=0, epoch=0)] == [(1, 3)]


def test_iterable_data_keep_their_order():
    assert torch.cat([*batches(Counting(), 3, seed=0, epoch=0, start=1)])[:, 0].tolist() == [3, 4, 5, 6]
    assert count(Counting(), 3) is None


def test_a_loaders_own_generator_is_put_back():
    own = torch.Generator().manual_seed(5)
    data, before = loader(generator=own), own.get_state()
    iterator = batches(data, 4, seed=0, epoch=0)
    next(iterator)
    assert torch.equal(own.get_state(), before)


def test_dynamic_bits_have_the_right_mean_and_are_new_each_epoch(seed):
    grey = torch.tensor([[0.0, 0.2, 0.7, 1.0]]).expand(5000, -1)
    rows = Redrawn(grey, "binary")
    first, second = (torch.cat([*batches(rows, 100, seed=seed, epoch=e)]) for e in (0, 1))
    assert not torch.equal(first, second)
    error = (grey[0] * (1 - grey[0]) / 5000).sqrt()
    for x in (first, second):
        assert x.unique().tolist() == [0.0, 1.0]
        assert bool(((x.mean(0) - grey[0]).abs() <= 6 * error).all())


@pytest.mark.parametrize("name", ["tensor", "Dataset", "DataLoader"])
def test_count_tells_the_batches(name):
    data = SOURCES[name]()
    assert count(data, 4) == len(epoch_of(data)) == 6


def test_bad_arguments_are_told():
    for data, size, start in ((ROWS, 0, 0), (ROWS, 1, -1), (ROWS, 2.5, 0), ("rows", 1, 0), (3, 1, 0)):
        with pytest.raises((ArgumentError, ShapeError)):
            list(batches(data if data != "rows" else object(), size, seed=0, epoch=0, start=start))
    with pytest.raises(ShapeError, match="at least one row"):
        list(batches(torch.zeros(0, 3), 2, seed=0, epoch=0))
    with pytest.raises(ShapeError):
        list(batches(torch.tensor(1.0), 2, seed=0, epoch=0))


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("float64", torch.float32), ("float16", torch.float32), ("uint8", torch.float32), ("bool", torch.float32),
     ("int64", torch.int64), ("int32", torch.int64)],
)  # fmt: skip
def test_arrays_become_tensors_of_their_own(dtype, expected):
    array = np.ones((2, 3), dtype)
    made = as_tensor(array)
    array[:] = 0
    assert made.dtype == expected
    assert bool((made == 1).all())


def test_tensors_become_tensors_of_their_own():
    for x in (torch.ones(2, 3, dtype=torch.bfloat16), torch.ones(2, 3, requires_grad=True), torch.ones(2, 3).double()):
        made = as_tensor(x)
        assert (made.dtype, made.requires_grad, made.tolist()) == (torch.float32, False, [[1.0] * 3] * 2)
    assert as_tensor(np.array([[0.1]]), double=True).item() == 0.1


def test_text_is_no_array_of_numbers():
    with pytest.raises(ArgumentError, match="numbers"):
        as_tensor(np.array(["a"]))
