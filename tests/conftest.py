"""One thread on both sides: small products gain nothing from two, and lose much on a busy machine."""

import torch
from threadpoolctl import threadpool_limits

threadpool_limits(1)
torch.set_num_threads(1)
