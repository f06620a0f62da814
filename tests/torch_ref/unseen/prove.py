"""The proof that each case is what it says, by torch's autograd and without the checker.

Run in tests/torch_ref:  python -m unseen.prove [-v]
"""

import importlib
import sys
from collections import Counter

import numpy as np
import torch

MODULES = (
    "layers",
    "functions_of_tensors",
    "norms",
    "losses",
    "convolutions",
    "recurrent",
    "attention",
    "linear_algebra",
    "networks",
    "torch_functions",
)
LR = 0.1
FLOOR = 1e-8  # a mistake is larger than this, by the largest entry
CEILING = 1e-9


def all_cases():
    """The cases of all modules."""
    return [c for m in MODULES for c in importlib.import_module(f".{m}", __package__).CASES]


def leaves(tree):
    """The arrays of nested dicts, lists and tuples, in order."""
    if isinstance(tree, dict):
        return [leaf for key in tree for leaf in leaves(tree[key])]
    if isinstance(tree, (list, tuple)):
        return [leaf for part in tree for leaf in leaves(part)]
    return [tree]


def like(tree, of):
    """`of` reordered as the dicts of `tree`."""
    if isinstance(tree, dict):
        return {key: like(tree[key], of[key]) for key in tree}
    if isinstance(tree, (list, tuple)):
        return [like(a, b) for a, b in zip(tree, of, strict=True)]
    return of


def rebuilt(tree, numbers):
    """`tree` with its leaves taken from the iterator `numbers`."""
    if isinstance(tree, dict):
        return {key: rebuilt(tree[key], numbers) for key in tree}
    if isinstance(tree, (list, tuple)):
        return type(tree)(rebuilt(part, numbers) for part in tree)
    return next(numbers)


def at(case, mine, out, path):
    """What stands at a path such as out.0, params.W, or dW."""
    first, *rest = path.split(".")
    value = out if first == "out" else getattr(mine, first)
    for key in rest:
        if isinstance(value, dict):
            value = value[key]
        else:
            value = value[int(key)] if key.isdigit() else getattr(value, key)
    return value


def draw_dy(y, seed=5):
    return np.random.default_rng(seed).normal(size=np.shape(y))


def run_layer(case, mine, inputs):
    """y, dy, dy as it is after the call, the weights as they were, and the gradients."""
    free = [i for i in range(len(inputs)) if i not in case.held]
    weights = [np.array(at(case, mine, None, p)) for p in case.weights.split()]
    if case.style == "torch":
        t = [torch.from_numpy(a.copy()) if isinstance(a, np.ndarray) else a for a in inputs]
        for i in free:
            t[i].requires_grad_()
        y = getattr(mine, "apply", mine)(*t)
        dy = draw_dy(y.detach().numpy())
        grads = torch.autograd.grad(y, [t[i] for i in free], torch.from_numpy(np.array(dy)))
        return y.detach().numpy(), dy, dy, weights, [g.numpy() for g in grads]
    if case.style == "closure":
        y, backward = mine(*inputs)
        y = np.array(y)
        dy = draw_dy(y)
        after = dy.copy() if dy.ndim else float(dy)
        grads = backward(after)
    elif case.style == "pair":
        y, cache = mine[0](*inputs)
        y = np.array(y)
        dy = draw_dy(y)
        after = dy.copy() if dy.ndim else float(dy)
        grads = mine[1](after, cache)
    elif case.style == "derivative":
        y = np.array(mine[0](*inputs))
        dy = after = draw_dy(y)
        grads = dy * mine[1](*inputs)
    else:
        y = np.array(getattr(mine, case.steps[0])(*inputs))
        dy = draw_dy(y)
        after = dy.copy() if dy.ndim else float(dy)
        if case.style == "updating":
            grads = [np.array(getattr(mine, case.steps[1])(after, LR))]
            new = [at(case, mine, None, p) for p in case.weights.split()]
            return y, dy, after, weights, grads + [(a - b) / LR for a, b in zip(weights, new, strict=True)]
        out = getattr(mine, case.steps[1])(after)
        return y, dy, after, weights, [np.array(at(case, mine, out, p)) for p in case.grads.split()]
    grads = list(grads) if isinstance(grads, (tuple, list)) else [grads]
    if len(grads) == len(inputs) != len(free):
        grads = [grads[i] for i in free]
    return y, dy, after, weights, grads


def true_layer(case, inputs, weights, dy):
    """y and the gradients by autograd."""
    free = [i for i in range(len(inputs)) if i not in case.held]
    t = [torch.tensor(a) if isinstance(a, np.ndarray) else a for a in [*inputs, *weights]]
    wanted = [t[i] for i in [*free, *range(len(inputs), len(t))]]
    for a in wanted:
        a.requires_grad_()
    y = case.truth(*t)
    return y.detach().numpy(), [g.numpy() for g in torch.autograd.grad(y, wanted, torch.tensor(dy))]


def run_loss(case, mine, params, data):
    """The loss and its gradients, in the order of the parameters."""
    if case.style == "loss":
        loss, grads = mine(params, *data)
        return loss, leaves(like(params, grads))
    if case.style == "spread":
        loss, *grads = mine(*params, *data)
        return loss, grads
    if case.style == "two functions":
        return mine[0](params, *data), leaves(like(params, mine[1](params, *data)))
    if case.style == "step":
        old = [a.copy() for a in leaves(params)]
        loss, new = mine(params, *data)
        return loss, [(a - b) / data[-1] for a, b in zip(old, leaves(like(params, new)), strict=True)]
    loss, *grads = mine(*data)
    if case.style == "globals":
        return loss, grads[: len(params)]
    return loss, leaves(like(params, grads[0]))


def true_loss(case, params, data):
    """The loss and its gradients by autograd."""
    t = [torch.tensor(a, requires_grad=True) for a in leaves(params)]
    plain = [torch.tensor(a) if isinstance(a, np.ndarray) else a for a in data]
    loss = case.truth(rebuilt(params, iter(t)), *plain)
    return loss.item(), [g.numpy() for g in torch.autograd.grad(loss, t)]


def error(mine, true):
    """The largest difference of any two tensors, by the largest entry of the true one."""
    worst = 0.0
    if len(mine) != len(true):
        raise ValueError(f"{len(mine)} gradients instead of {len(true)}")
    for a, b in zip(mine, true, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        if a.shape != b.shape:
            return np.inf
        if b.size:
            largest = np.abs(a - b).max() / max(np.abs(b).max(), 1e-12)
            worst = max(worst, np.inf if np.isnan(largest) else largest)
    return worst


def altered(values):
    """Other numbers in the same shapes."""
    return tuple(
        np.ascontiguousarray(0.7 * np.flip(a) + 0.2)
        if isinstance(a, np.ndarray) and np.issubdtype(a.dtype, np.floating)
        else a
        for a in values
    )


def copies(values):
    return tuple(a.copy() if isinstance(a, np.ndarray) else a for a in values)


def errors(case):
    """The errors of the forward and of the gradients, on both calls, and what was changed."""
    found = {}
    mine = case.mine()
    first = case.inputs if case.witness is None else case.witness
    other = altered(first)
    other = tuple(
        a if i in case.options.get("held", ()) else b
        for i, (a, b) in enumerate(zip(first, other, strict=True))
    )
    params = case.parameters(mine)
    for turn, values in (("as given", first), ("second call", other)):
        given = copies(values)
        if params is None:
            y, dy, after, weights, grads = run_layer(case, mine, given)
            true_y, true = true_layer(case, values, weights, dy)
            found["dy changed"] = found.get("dy changed") or not np.array_equal(dy, after)
        else:
            before = [np.array(a) for a in leaves(params)]
            y, grads = run_loss(case, mine, params, given)
            true_y, true = true_loss(case, rebuilt(params, iter(before)), values)
        found["forward, " + turn] = error([y], [true_y])
        found[turn] = error(grads, true)
        same = all(np.array_equal(a, b) for a, b in zip(given, values, strict=True))
        found["input changed"] = found.get("input changed") or not same
    return found


def misfit(case):
    """An empty text if the reference takes the inputs, and is the same function where it has no weights."""
    if case.reference is None or case.options.get("columns"):
        return ""
    reference = case.reference()
    t = [torch.from_numpy(a.copy()) if isinstance(a, np.ndarray) else a for a in case.inputs]
    weights = list(reference.double().parameters()) if isinstance(reference, torch.nn.Module) else []
    n = len(case.weights.split())
    if len(weights) not in (0, n):
        return f"the reference has {len(weights)} weights instead of {n}"
    mine = case.mine()
    own = [torch.tensor(np.array(at(case, mine, None, p))) for p in case.weights.split()]
    y, true = reference(*t).detach(), case.truth(*t, *own).detach()
    if weights:
        return "" if y.shape == true.shape else f"the reference gives shape {tuple(y.shape)}"
    return "" if error([y.numpy()], [true.numpy()]) < CEILING else "the reference is another function"


def judge(case):
    """An empty text if the case is what it says, and the errors."""
    found = errors(case)
    if found["forward, as given"] > CEILING:
        return "the forward is another function", found
    if said := misfit(case):
        return said, found
    if case.right:
        large = [k for k, v in found.items() if v > CEILING]
        return f"it is not right: {large}" if large else "", found
    if case.witness is not None and (e := errors_on_inputs(case)) > CEILING:
        return f"the mistake shows on the inputs as given: {e:.1e}", found
    for circumstance in ("as given", "second call", "input changed", "dy changed"):
        if circumstance == case.shows:
            break
        if circumstance == "as given" and found[circumstance] > CEILING:
            return "the mistake shows at the first call", found
    shown = found[case.shows]
    return (
        "" if shown is True or (shown is not False and shown > FLOOR) else "no mistake is to be seen"
    ), found


def errors_on_inputs(case):
    y, dy, _, weights, grads = run_layer(case, case.mine(), copies(case.inputs))
    return error(grads, true_layer(case, case.inputs, weights, dy)[1])


def main():
    torch.set_num_threads(1)
    cases = all_cases()
    names = Counter(c.name for c in cases)
    failures = [f"{name}: the name is there {n} times" for name, n in names.items() if n > 1]
    for case in cases:
        try:
            with np.errstate(all="ignore"):
                said, found = judge(case)
        except Exception as e:
            said, found = f"{type(e).__name__}: {e}", {}
        if said:
            failures.append(f"{case.name}: {said}  {found}")
        if "-v" in sys.argv:
            what = "right" if case.right else f"WRONG ({case.shows})"
            print(f"{case.name:45} {what:22}", found.get(case.shows))
    if failures:
        print("\n".join(failures))
    n = sum(c.right for c in cases)
    print(
        f"{n} right, {len(cases) - n} wrong, {len({c.kind for c in cases})} kinds;",
        f"{sum(c.reference is not None for c in cases)} with a reference; {len(failures)} not proved",
    )
    for what in ("style", "kind"):
        print(dict(Counter(getattr(c, what) + (" ✓" if c.right else " ✗") for c in cases)))
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
