"""Optimizers, under the names of torch.optim."""

from scratch.optim import lr_scheduler
from scratch.optim.adagrad import Adagrad
from scratch.optim.adam import Adam
from scratch.optim.adamw import AdamW
from scratch.optim.optimizer import Optimizer
from scratch.optim.rmsprop import RMSprop
from scratch.optim.sgd import SGD

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Optimizer", "RMSprop", "lr_scheduler"]
