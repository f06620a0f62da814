"""The names that people give to a forward, a backward, and an output, in small letters, the likeliest first.

Methods are compared without their underscores.
"""

FORWARD = (
    *("forward", "forwardpass", "fprop", "forwardprop", "forwardpropagation", "forwardpropagate"),
    *("propagateforward", "feedforward", "fwd", "forwards", "propagate"),
)
BACKWARD = (
    *("backward", "backwardpass", "bprop", "backprop", "backwardprop", "backpropagation", "backpropagate"),
    *("backwardpropagation", "backwardpropagate", "propagatebackward", "feedbackward", "bwd", "backwards"),
    *("backword", "vjp", "pullback"),
)
LOSS = (
    *("lossandgrads", "lossandgrad", "lossandgradients", "loss", "computeloss", "calculateloss", "calcloss"),
    *("getloss", "lossfunction", "lossfunc", "lossfun", "lossfn", "cost", "computecost", "costfunction"),
    *("calculatecost", "calccost", "error", "computeerror", "objective"),
)
OUTPUT = ("out", "output", "outputs", "a", "y_pred", "probs")


def plain(name: str) -> str:
    """The name in small letters, without underscores; of the kind __call__ as it is."""
    return name if name.startswith("__") else name.lower().replace("_", "")
