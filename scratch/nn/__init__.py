"""Layers, losses and networks, under the names of torch.nn."""

from scratch.nn import init
from scratch.nn.activation import *
from scratch.nn.attention import *
from scratch.nn.batchnorm import *
from scratch.nn.channelshuffle import *
from scratch.nn.container import *
from scratch.nn.conv import *
from scratch.nn.distance import *
from scratch.nn.dropout import *
from scratch.nn.flatten import *
from scratch.nn.fold import *
from scratch.nn.instancenorm import *
from scratch.nn.linear import *
from scratch.nn.loss import *
from scratch.nn.loss_classes import *
from scratch.nn.loss_pairs import *
from scratch.nn.module import *
from scratch.nn.normalization import *
from scratch.nn.padding import *
from scratch.nn.parameter import *
from scratch.nn.pixelshuffle import *
from scratch.nn.pooling import *
from scratch.nn.rnn import *
from scratch.nn.sparse import *
from scratch.nn.transformer import *
from scratch.nn.upsampling import *

__all__ = [name for name, value in globals().items() if getattr(value, "__module__", "").startswith(__name__)]
__all__ += ["init"]
