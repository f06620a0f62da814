"""Optimizers, under the names of torch.optim."""

from scratch.optim import lr_scheduler
from scratch.optim.adadelta import Adadelta
from scratch.optim.adagrad import Adagrad
from scratch.optim.adam import Adam
from scratch.optim.adamax import Adamax
from scratch.optim.adamw import AdamW
from scratch.optim.asgd import ASGD
from scratch.optim.nadam import NAdam
from scratch.optim.optimizer import Optimizer
from scratch.optim.radam import RAdam
from scratch.optim.rmsprop import RMSprop
from scratch.optim.rprop import Rprop
from scratch.optim.sgd import SGD

__all__ = [
    "ASGD",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "lr_scheduler",
]
