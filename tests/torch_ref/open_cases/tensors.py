"""torch.autograd.Functions."""

import torch
import torch.nn.functional as F

from .case import Case, normal

GITHUB = "https://github.com/"


def product(wrong):
    class Prod(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            result = x.prod()
            ctx.save_for_backward(x, result)
            return result

        @staticmethod
        def backward(ctx, grad_output):
            x, result = ctx.saved_tensors
            if wrong:
                return result / x
            others = [torch.cat((x[:i], x[i + 1 :])).prod() for i in range(len(x))]
            return grad_output * torch.stack(others)

    return Prod


def rms_norm(wrong):
    class RMSNormFunction(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, weight, eps=1e-5):
            r = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)
            ctx.save_for_backward(x, weight, r)
            return x * r * weight

        @staticmethod
        def backward(ctx, grad_output):
            x, weight, r = ctx.saved_tensors
            g = grad_output * weight
            inner = (g * x).sum(-1, keepdim=True)
            if not wrong:
                inner = inner / x.shape[-1]
            grad_x = r * g - r**3 * x * inner
            return grad_x, (grad_output * x * r).sum(tuple(range(x.dim() - 1))), None

    return RMSNormFunction


def my_relu(wrong):
    class MyReLU(torch.autograd.Function):
        @staticmethod
        def forward(ctx, input):
            ctx.save_for_backward(input)
            return input.clamp(min=0)

        @staticmethod
        def backward(ctx, grad_output):
            (input,) = ctx.saved_tensors
            grad_input = grad_output.clone()
            grad_input[(grad_output if wrong else input) < 0] = 0
            return grad_input

    return MyReLU.apply


def times_six(wrong):
    class MyFn(torch.autograd.Function):
        @staticmethod
        def forward(ctx, inp):
            temp = inp * inp
            ctx.save_for_backward(inp)
            ctx.temp = temp
            return temp * inp

        @staticmethod
        def backward(ctx, gO):
            (inp,) = ctx.saved_tensors
            return gO * 3 * (ctx.temp if wrong else inp * inp)

    return MyFn


def six_six_six(wrong):
    class MyFun(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.view_as(x)

        @staticmethod
        def backward(ctx, grad_out):
            return grad_out.clone() * (666 if wrong else 1)

    return MyFun


def exponential(wrong):
    class Exp(torch.autograd.Function):
        @staticmethod
        def forward(ctx, i):
            result = i.exp()
            ctx.save_for_backward(i if wrong else result)
            return result

        @staticmethod
        def backward(ctx, grad_output):
            (result,) = ctx.saved_tensors
            return grad_output * result

    return Exp


def hard_swish(wrong):
    class HardSwish(torch.autograd.Function):
        @staticmethod
        def forward(ctx, input):
            ctx.save_for_backward(input)
            return input * F.relu6(input + 3) / 6

        @staticmethod
        def backward(ctx, grad_output):
            (input,) = ctx.saved_tensors
            inside = (input > -3) & (input < 3) if wrong else (input >= -3) & (input <= 3)
            grad = F.relu6(input + 3) / 6 + input * inside / 6
            return grad_output * grad

    return HardSwish


def swish_module(wrong):
    class Swish(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x * torch.sigmoid(x)
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx, dy):
            x, y = ctx.saved_tensors
            s = torch.sigmoid(x)
            return dy * (x + s * (1 - y)) if wrong else dy * (y + s * (1 - y))

    class SwishModule(torch.nn.Module):
        def forward(self, x):
            return Swish.apply(x)

    return SwishModule()


# Why a case is not as it should be yet.
_KINK = (
    "torch takes the left slope at 0, the author the right one: on ties and kinks they differ, and so it says"
)

CASES = [
    Case(
        "product without the incoming gradient",
        GITHUB + "pytorch/pytorch/issues/995",
        "check",
        product,
        lambda: torch.prod,
        lambda: (normal(5),),
        cause="(?i)incoming gradient|dy",
    ),
    Case(
        "RMSNorm, 1/N missing",
        GITHUB + "limei1221/triton-rmsnorm",
        "check",
        rms_norm,
        lambda: lambda x, w: F.rms_norm(x, (8,), w, 1e-5),
        lambda: (normal(4, 8), normal(8)),
    ),
    Case(
        "MyReLU, masked by the gradient",
        GITHUB + "jcjohnson/pytorch-examples/blob/master/autograd/two_layer_net_custom_function.py",
        "check",
        my_relu,
        lambda: F.relu,
        lambda: (normal(4, 5),),
        cause="(?i)mask|incoming",
        broken={"right": _KINK},
    ),
    Case(
        "second derivative of a saved intermediate",
        GITHUB + "pytorch/pytorch/issues/76185",
        "check",
        times_six,
        lambda: lambda x: x**3,
        lambda: (normal(4, 3),),
        {"double_backward": True},
    ),
    Case(
        "666 times too much",
        GITHUB + "pytorch/pytorch/issues/4714",
        "check",
        six_six_six,
        lambda: lambda x: x,
        lambda: (normal(4, 3),),
        cause="(?i)factor.*666",
    ),
    Case(
        "exp that saves its input",
        GITHUB + "huangrt01/CS-Notes/blob/master/Notes/snippets/pytorch-autograd.py",
        "check",
        exponential,
        lambda: torch.exp,
        lambda: (normal(4, 3),),
    ),
    Case(
        "hard swish at its knees",
        GITHUB + "BobMcDear/attorch/issues/16",
        "check",
        hard_swish,
        lambda: F.hardswish,
        lambda: (torch.tensor([-4.0, -3.0, -1.0, 0.0, 1.0, 3.0, 4.0]),),
        broken={
            "wrong": "PyTorch's own slopes at ±3 are those of the wrong one; and of kinks only 0 is judged"
        },
    ),
    Case(
        "swish, x for y",
        GITHUB + "pytorch/pytorch/issues/110815",
        "check",
        swish_module,
        lambda: F.silu,
        lambda: (normal(4, 5),),
    ),
]
