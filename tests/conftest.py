"""One thread on both sides: small products gain nothing from two, and lose much on a busy machine."""

import signal

import torch
from threadpoolctl import threadpool_limits

threadpool_limits(1)
torch.set_num_threads(1)

# A shell has its background jobs, and all that they start, ignore Ctrl-C; some tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
