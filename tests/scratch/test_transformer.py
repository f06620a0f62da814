"""Attention and transformers: masks of every kind beside torch, hidden keys, seeds, and what is refused."""

import numpy as np
import pytest
import torch

import scratch
from rounding import Pass, Shake, as_it_is, assert_agree, assert_torch_agrees, numpy_pass, shakes
from scratch import nn
from torch_ref import reflect

RNG = np.random.default_rng(0)
N, L, S, E, H = 2, 4, 3, 6, 2
LATER = nn.Transformer.generate_square_subsequent_mask(L, np.float64)
BOOL = np.triu(np.ones((L, S), bool), 1)
PADDING = np.array([[False, False, True], [False, True, False]])


MASKS = {
    "none": {},
    "bool": {"attn_mask": BOOL},
    "numbers": {"attn_mask": RNG.standard_normal((L, S))},
    "of each head": {"attn_mask": RNG.standard_normal((N * H, L, S)) > 0.8},
    "padding": {"key_padding_mask": PADDING},
    "padding by numbers": {"key_padding_mask": RNG.standard_normal((N, S))},
    "both": {"attn_mask": np.where(BOOL, -np.inf, 0.0), "key_padding_mask": RNG.standard_normal((N, S))},
}


@pytest.mark.parametrize("average", [True, False])
@pytest.mark.parametrize("extra", [False, True])
@pytest.mark.parametrize("masks", MASKS.values(), ids=MASKS.keys())
def test_every_kind_of_mask(masks, extra, average) -> None:
    module = nn.MultiheadAttention(E, H, add_bias_kv=extra, add_zero_attn=extra, dtype=np.float64)
    inputs = [RNG.standard_normal((n, N, E)) for n in (L, S, S)]
    assert_torch_agrees(module, *inputs, average_attn_weights=average, **masks)


@pytest.mark.parametrize("batch_first", [False, True])
def test_attention_to_itself_is_that_to_copies(batch_first) -> None:
    module = nn.MultiheadAttention(E, H, batch_first=batch_first, dtype=np.float64)
    x = RNG.standard_normal((N, L, E))

    def run(other: np.ndarray, shake: Shake = as_it_is) -> Pass:
        """With the sum of the three gradients, which is all that is defined where the inputs are one."""
        y, dx, _ = numpy_pass(module, (x, x, other), options={"need_weights": False}, shake=shake)
        return Pass(y, [sum(dx[:3]), *dx[3:]])

    runs = (run(x.copy(), shake) for shake in shakes())
    assert_agree(run(x), run(x.copy()), runs)


def test_a_query_that_may_see_nothing_gets_the_bias_alone() -> None:
    module = nn.MultiheadAttention(E, H, dtype=np.float64)
    module.out_proj.bias.data[...] = np.arange(E)
    x = RNG.standard_normal((L, N, E))
    y, weights = module(x, x, x, attn_mask=np.ones((L, L), bool))
    assert not np.any(weights)
    np.testing.assert_array_equal(y[0, 0], np.arange(E))
    assert all(np.all(np.isfinite(g)) for g in module.backward(np.ones_like(y)))


def test_what_is_hidden_changes_nothing_and_gets_no_gradient() -> None:
    module = nn.TransformerEncoderLayer(E, H, 8, 0.0, norm_first=True, dtype=np.float64)
    x = RNG.standard_normal((L, N, E))
    other = x.copy()
    other[-1] += 1
    y = module(x, LATER)
    np.testing.assert_array_equal(y[:-1], module(other, LATER)[:-1])
    dy = np.zeros_like(y)
    dy[0] = 1
    module.zero_grad()
    module(x, LATER)
    dx, mask = module.backward(dy)
    assert mask is None
    assert np.any(dx[0])
    assert not np.any(dx[1:])


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_dropout_masks_are_torchs_for_its_seed(norm_first, batch_first) -> None:
    module = nn.TransformerDecoderLayer(E, H, 8, 0.3, "gelu", 1e-5, batch_first, norm_first, dtype=np.float64)
    tgt, memory = RNG.standard_normal((N, L, E)), RNG.standard_normal((N, S, E))
    if not batch_first:
        memory = RNG.standard_normal((S, L, E))
    for seed in range(3):
        scratch.manual_seed(seed)
        torch.manual_seed(seed)
        assert_torch_agrees(module, tgt, memory)


def test_an_activation_may_be_a_module() -> None:
    module = nn.TransformerEncoderLayer(E, H, 8, 0.0, nn.Softplus(beta=2.0), dtype=np.float64)
    assert "activation" in dict(module.named_children())
    assert_torch_agrees(module, RNG.standard_normal((L, N, E)))


def test_the_stacks_copy_their_layer_and_the_mask_is_torchs() -> None:
    layer = nn.TransformerEncoderLayer(E, H, 8)
    stack = nn.TransformerEncoder(layer, 2)
    first, second = (dict(each.named_parameters()) for each in stack.layers)
    for name, p in first.items():
        np.testing.assert_array_equal(p.data, second[name].data)
        assert not np.shares_memory(p.data, second[name].data)
    np.testing.assert_array_equal(LATER, torch.nn.Transformer.generate_square_subsequent_mask(L).numpy())


def attend(**options):
    x = np.ones((L, N, E), np.float32)
    return nn.MultiheadAttention(E, H)(x, x, x, **options)


REFUSED = {
    "heads": (
        lambda: nn.MultiheadAttention(6, 4),
        ValueError,
        "num_heads is 4, expected a divisor of embed_dim",
    ),
    "dropout": (lambda: nn.MultiheadAttention(6, 2, 1.5), ValueError, "dropout is 1.5"),
    "width": (
        lambda: nn.MultiheadAttention(6, 2)(*[np.ones((4, 2, 5), np.float32)] * 3),
        ValueError,
        r"query has shape \(4, 2, 5\), expected \(\*, N, 6\)",
    ),
    "dtype": (
        lambda: nn.MultiheadAttention(6, 2)(*[np.ones((4, 2, 6))] * 3),
        TypeError,
        "query is float64, the weight float32",
    ),
    "samples": (
        lambda: nn.MultiheadAttention(6, 2)(*(np.ones((4, n, 6), np.float32) for n in (2, 3, 3))),
        ValueError,
        "key has 3 samples, query 2",
    ),
    "keys without values": (
        lambda: nn.MultiheadAttention(6, 2)(*(np.ones((n, 2, 6), np.float32) for n in (4, 3, 2))),
        ValueError,
        "expected as many",
    ),
    "list": (
        lambda: nn.MultiheadAttention(6, 2)(*[[[1.0] * 6]] * 3),
        TypeError,
        "query is a list, expected an array",
    ),
    "list as mask": (
        lambda: attend(attn_mask=[[True]]),
        TypeError,
        "attn_mask is a list, expected an array",
    ),
    "mask": (
        lambda: attend(attn_mask=np.ones((2, 2), bool)),
        ValueError,
        r"attn_mask has shape \(2, 2\), expected \(4, 4\) or \(4, 4, 4\)",
    ),
    "mask of integers": (lambda: attend(attn_mask=np.ones((4, 4), int)), TypeError, "attn_mask is int64"),
    "padding": (
        lambda: attend(key_padding_mask=np.ones((4, 2), bool)),
        ValueError,
        r"key_padding_mask has shape \(4, 2\), expected \(2, 4\)",
    ),
    "causal without mask": (lambda: attend(is_causal=True), ValueError, "expected attn_mask too"),
    "activation": (
        lambda: nn.TransformerEncoderLayer(4, 2, activation="tanh"),
        ValueError,
        "activation is 'tanh', expected 'relu'",
    ),
    "no layer": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2), 0),
        ValueError,
        "num_layers is 0",
    ),
}


@pytest.mark.parametrize(("call", "error", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_it_is_refused_and_said_why(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("options", [{}, {"bias": False, "norm_first": True, "activation": "gelu"}], ids=str)
def test_a_transformer_of_torch_is_reflected_with_all_its_options(options) -> None:
    twin = torch.nn.Transformer(4, 2, 1, 2, 6, 0.0, layer_norm_eps=0.1, dtype=torch.float64, **options)
    rng = np.random.default_rng(0)
    src, tgt = rng.standard_normal((3, 2, 4)), rng.standard_normal((2, 2, 4))
    module = reflect(twin)
    assert_torch_agrees(module, src, tgt, twin=twin)
    assert_torch_agrees(module, src, tgt)
