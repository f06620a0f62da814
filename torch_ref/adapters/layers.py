"""adapt(thing): anything with a forward and a backward, as a Module.

People write layers in many ways. Understood are

* a module of scratch.nn;
* a pair of functions, forward(*inputs) and backward(dy, *inputs); where forward returns (y, cache),
  backward(dy, cache); f and f', which does not take dy; a function that returns (y, backward). Behind the
  inputs they may take the parameters of the other side;
* an object with a forward and a backward, by these or other usual names (methods.py). forward returns its
  output, or (output, cache), or keeps it in an attribute. backward takes dy, and a cache, the inputs or a
  learning rate beside it (readings.py), and returns dx, or dx and the parameters' gradients, or a dict, or
  leaves them in attributes (returned.py). The parameters are in one of these forms (slots.py):
    - objects with ``data`` and ``grad``, kept or given by named_parameters() or parameters();
    - ``params`` and ``grads``, lists or dicts, where the gradient of ``W`` is called ``W`` or ``dW``;
    - arrays such as ``W`` beside their gradients ``dW``, ``grad_W``, ``W_gradient``, … Those need not be
      there before the first backward;
    - arrays whose gradients backward returns, or that backward itself moves along them, by a learning rate;
    - all of these in the objects that it keeps, such as the layers of a network;
* a torch.autograd.Function, an operator of torch.library, a torch.nn.Module or function that uses them: their
  backward runs inside torch's autograd;
* a jax.custom_vjp, or a function of JAX that uses one: its backward runs inside jax.vjp.

An array may be kept in several places, as ``W`` and as ``params[0]``: it is written into all of them.
"""

from collections.abc import Collection
from typing import Any

from scratch import nn
from scratch.nn.parameter import lay_out
from scratch.stray_parameters import refuse_stray_parameters
from torch_ref.adapters.applied import with_parameters
from torch_ref.adapters.buffers import Renamed
from torch_ref.adapters.finding import found_slots
from torch_ref.adapters.jax_forms import gives_backward, is_jax_function
from torch_ref.adapters.jax_functions import JaxCode
from torch_ref.adapters.messages import findings, require_input_gradients
from torch_ref.adapters.methods import as_object, has_method, is_static
from torch_ref.adapters.names import Transposed, doubtful, match_names
from torch_ref.adapters.objects import Adapted
from torch_ref.adapters.returned import Given
from torch_ref.adapters.shapes import Shapes
from torch_ref.adapters.slots import find_buffers
from torch_ref.adapters.steps import remarks_on_steps, states_of, with_plain_steps
from torch_ref.adapters.tensor_forms import takes_tensors
from torch_ref.adapters.torch_functions import adapt_tensor_code
from torch_ref.adapters.trial import Trial, tried


def adapt(
    thing: Any,
    shapes: Shapes | None = None,
    transposed: str | Transposed = (),
    buffers: Shapes | None = None,
    given: Given | None = None,
) -> nn.Module:
    """A module that computes the same as ``thing``.

    Args:
        thing: see above. An object is used, and changed, as its own forward and backward change it.
        shapes: names and shapes of the parameters on the other side. Ours take these names: by name if all
            are the same, else in order, or by shape where that leaves no choice. Axes of length 1 do not
            count.
        transposed: those that are stored the other way round than on the other side, by our names; to be
            said only where their shapes do not tell. Or a dict of the orders of axes that make ours theirs.
        buffers: names and shapes of the floating buffers on the other side. An array of that name (behind
            the last dot) and shape that ``thing`` keeps becomes that buffer.
        given: the inputs that it will be called with; a copy of it is run on them, to see how it works.

    Raises:
        TypeError: it is a class, has no forward and backward; backward gives no gradient of an input; or it
            is a Module with an array that has a gradient and is not a Parameter.
        ValueError: the parameters are not as many as ``shapes``, or of other shapes.
    """
    if isinstance(transposed, str):
        transposed = (transposed,)
    if not isinstance(transposed, Collection):
        raise TypeError(
            f"check: transposed is {transposed!r}, expected names of parameters, or a dict of orders of axes"
        )
    if is_jax_function(thing) and not (given and gives_backward(thing, given.inputs)):
        return JaxCode(thing)
    if takes_tensors(thing):
        return adapt_tensor_code(thing, shapes, transposed)
    shapes_of_buffers, given = buffers or {}, given or Given()
    module, slots, trial = _found(thing, shapes, given)
    pieces = match_names(slots, shapes, transposed, "" if trial is None else findings(thing, trial))
    if trial is not None:
        require_input_gradients(thing, trial, given)
    places = find_buffers(module.root, shapes_of_buffers)
    same = [(own,) for own in slots] == [tuple(p.name for p in each) for each in pieces.values()]
    same = same and list(pieces) == list(slots) and not transposed
    if isinstance(thing, nn.Module) and same and places.keys() <= dict(thing.named_buffers()).keys():
        return thing
    for own, each in pieces.items():
        module.take(own, slots[own], each)
    for name, path in places.items():
        module.hold(name, path, shapes_of_buffers[name])
    if isinstance(module, Adapted):
        module.doubtful = doubtful(slots, pieces, transposed)
        if shapes is not None:
            module.in_order(list(shapes))
    lay_out(module.parameters())
    return module


def _found(thing: Any, shapes: Shapes | None, given: Given) -> tuple[Any, dict[str, Any], Trial | None]:
    """A module of the kind that suits ``thing``, still without parameters; these by our names; a trial."""
    if isinstance(thing, type) and not is_static(thing):
        raise TypeError(
            f"check: mine: {thing.__name__} is a class, expected an object made of it, {thing.__name__}(…)"
        )
    if isinstance(thing, nn.Module):
        refuse_stray_parameters(thing, "check")
        return Renamed(thing), dict(thing.named_parameters()), None
    found = as_object(thing)
    if found is None:
        raise _no_backward(thing)
    own, methods = with_parameters(found[0], shapes, given), found[1]
    if given.inputs:
        with_plain_steps(own)
    trial = tried(own, methods, given)
    if not methods[1] and not trial.passes.cached and (trial.built is not None or not given.inputs):
        raise _no_backward(thing)
    root, slots, rates = found_slots(own, trial, shapes)
    remarks = remarks_on_steps(trial, rates, given)
    module = Adapted(root, trial, rates, remarks)
    if module.updates:
        module.states = states_of(trial, slots)
    return module, slots, trial


def _no_backward(thing: Any) -> TypeError:
    return TypeError(
        f"check: mine: {type(thing).__name__} has no forward and backward; expected an object that has both, "
        "a pair of functions, forward(*inputs) and backward(dy, *inputs), or of methods, (layer.f, layer.b), "
        f"or a function that returns (output, backward). {_methods_of(thing)}"
    )


def _methods_of(thing: Any) -> str:
    names = [name for name in dir(thing) if name[0] != "_" and has_method(thing, name)]
    return f"Its methods are {', '.join(names[:12])}" if names else "It has no methods"
