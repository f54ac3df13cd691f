"""Training: the loop for the reader's own ``for``, the fit that is that loop with everything around it, checkpoints."""

from deepgen.train.callbacks import Callback, Checkpoint, EarlyStopping, Progress, TensorBoard
from deepgen.train.checkpoint import Run, load, load_run, load_weights, save
from deepgen.train.ensemble import Ensemble
from deepgen.train.fit import fit
from deepgen.train.health import MonitorWarning
from deepgen.train.history import History, Record
from deepgen.train.interrupt import Interrupted
from deepgen.train.loop import Step, train
from deepgen.train.monitors import Monitors
from deepgen.train.ranks import Ranks, torchrun
from deepgen.train.rates import RateRange, find_rate
from deepgen.train.search import Search, search
from deepgen.train.tiny import TinyFit, overfit_tiny

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "Ensemble",
    "History",
    "Interrupted",
    "MonitorWarning",
    "Monitors",
    "Progress",
    "Ranks",
    "RateRange",
    "Record",
    "Run",
    "Search",
    "Step",
    "TensorBoard",
    "TinyFit",
    "find_rate",
    "fit",
    "load",
    "load_run",
    "load_weights",
    "overfit_tiny",
    "save",
    "search",
    "torchrun",
    "train",
]
