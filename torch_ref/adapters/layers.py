"""adapt(thing): anything with a forward and a backward, as a Module.

People write layers in many ways. Understood are

* a module of scratch.nn;
* a pair of functions, forward(*inputs) and backward(dy, *inputs); or, where forward returns (y, cache),
  backward(dy, cache);
* an object with forward(*inputs), or __call__, and backward(dy), and its parameters in one of these forms:
    - named_parameters() or parameters(), of objects with ``data`` and ``grad``;
    - ``params`` and ``grads``, as the layers of the book's second volume have them: lists, or dicts, where
      the gradient of ``W`` is called ``W`` or ``dW``;
    - arrays such as ``W`` beside their gradients ``dW``, ``d_W``, ``W_grad`` or ``grad_W``, as in its first.
      Those need not be there before the first backward, if the code of the class names them;
    - all of these in the objects that it keeps, such as the layers of a network;
* a torch.autograd.Function, an operator of torch.library, a torch.nn.Module or function that uses them: their
  backward runs inside torch's autograd.

An array may be kept in several places, as ``W`` and as ``params[0]``: it is written into all of them.
"""

from collections.abc import Collection, Sequence
from typing import Any

from scratch import nn
from scratch.nn.parameter import lay_out
from scratch.stray_parameters import refuse_stray_parameters
from torch_ref.adapters.names import match_names
from torch_ref.adapters.objects import Adapted, Renamed
from torch_ref.adapters.pairs import Functions
from torch_ref.adapters.shapes import Shapes
from torch_ref.adapters.slots import find_buffers, find_slots
from torch_ref.adapters.tensor_forms import takes_tensors
from torch_ref.adapters.torch_functions import adapt_tensor_code


def adapt(
    thing: Any,
    shapes: Shapes | None = None,
    transposed: str | Sequence[str] = (),
    buffers: Shapes | None = None,
) -> nn.Module:
    """A module that computes the same as ``thing``.

    Args:
        thing: see above. An object is used, and changed, as its own forward and backward change it.
        shapes: names and shapes of the parameters on the other side. Ours take these names: by name if all
            are the same, else in order, or by shape where that leaves no choice. Axes of length 1 do not
            count.
        transposed: those that are stored the other way round than on the other side, by our names.
        buffers: names and shapes of the floating buffers on the other side. An array of that name (behind
            the last dot) and shape that ``thing`` keeps becomes that buffer.

    Raises:
        TypeError: it is a class, has no forward and backward, or parameters in no form that is understood; or
            it is a Module with an array that has a gradient and is not a Parameter.
        ValueError: the parameters are not as many as ``shapes``, or of other shapes.
    """
    if isinstance(transposed, str):
        transposed = (transposed,)
    if not isinstance(transposed, Collection):
        raise TypeError(f"transposed is {transposed!r}, expected names of parameters")
    if takes_tensors(thing):
        return adapt_tensor_code(thing, shapes, transposed)
    shapes_of_buffers = buffers or {}
    module, slots = _found(thing)
    if unknown := sorted(set(transposed) - set(slots)):
        raise ValueError(f"transposed: there is no parameter {unknown}; there are {list(slots)}")
    names = match_names(slots, shapes, transposed)
    places = {} if isinstance(module, Functions) else find_buffers(module.root, shapes_of_buffers)
    same = list(names) == list(names.values()) == list(slots) and not transposed
    if isinstance(thing, nn.Module) and same and places.keys() <= dict(thing.named_buffers()).keys():
        return thing
    for own, name in names.items():
        module.take(name, slots[own], own in transposed, (shapes or {}).get(name))
    for name, path in places.items():
        module.hold(name, path, shapes_of_buffers[name])
    lay_out(module.parameters())
    return module


def _found(thing: Any) -> tuple[Any, dict[str, Any]]:
    """A module of the kind that suits ``thing``, still without parameters, and these by our names."""
    if isinstance(thing, type):
        raise TypeError(
            f"adapt: {thing.__name__} is a class, expected an object made of it, {thing.__name__}(…)"
        )
    if isinstance(thing, tuple) and len(thing) == 2 and all(map(callable, thing)):
        return Functions(*thing), {}
    if isinstance(thing, nn.Module):
        refuse_stray_parameters(thing, "adapt")
        return Renamed(thing), dict(thing.named_parameters())
    if callable(getattr(thing, "backward", None)) and callable(getattr(thing, "forward", thing)):
        root = [thing]
        slots = dict(find_slots(root, (0,), set()))  # may append to root
        return Adapted(root), slots
    raise TypeError(
        f"adapt: {type(thing).__name__} has no forward and backward; expected an object that has both, "
        "or a pair of functions, forward(*inputs) and backward(dy, *inputs)"
    )
