"""Training: the loop for the reader's own ``for``, the fit that is that loop with everything around it, checkpoints."""

from deepgen.train.callbacks import Callback, Checkpoint, EarlyStopping, Progress, TensorBoard
from deepgen.train.checkpoint import Run, load, load_run, load_weights, save
from deepgen.train.fit import fit
from deepgen.train.health import MonitorWarning
from deepgen.train.history import History, Record
from deepgen.train.interrupt import Interrupted
from deepgen.train.loop import Step, train
from deepgen.train.monitors import Monitors

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "History",
    "Interrupted",
    "MonitorWarning",
    "Monitors",
    "Progress",
    "Record",
    "Run",
    "Step",
    "TensorBoard",
    "fit",
    "load",
    "load_run",
    "load_weights",
    "save",
    "train",
]
