"""Updates of public code."""

import numpy as np
import torch

from .case import Case

GITHUB = "https://github.com/"


def lion(signed_after, wd_first=True):
    class Lion(torch.optim.Optimizer):
        def __init__(self, params, lr=1e-2, betas=(0.9, 0.99), weight_decay=0.1):
            super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                beta1, beta2 = group["betas"]
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    if not state:
                        state["exp_avg"] = torch.zeros_like(p)
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    m = state["exp_avg"]
                    if signed_after:
                        m.mul_(beta2).add_(p.grad, alpha=1 - beta2)
                    p.add_(torch.sign(m * beta1 + p.grad * (1 - beta1)), alpha=-group["lr"])
                    if not signed_after:
                        m.mul_(beta2).add_(p.grad, alpha=1 - beta2)

    return Lion


class LionOfOneFile(torch.optim.Optimizer):
    def __init__(self, params, learning_rate=1e-2, beta1=0.9, beta2=0.99, lambdaa=0.1):
        super().__init__(params, defaults={"lr": learning_rate})
        self.state, self.beta1, self.beta2, self.lambdaa = {}, beta1, beta2, lambdaa

    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p not in self.state:
                    self.state[p] = {"momentum": torch.zeros_like(p.data)}
                m = self.beta1 * self.state[p]["momentum"] + (1 - self.beta1) * p.grad.data
                p.data -= group["lr"] * (torch.sign(m) + self.lambdaa * p.data)
                m = self.beta2 * self.state[p]["momentum"] + (1 - self.beta2) * p.grad.data
                self.state[p]["momentum"] = m


class AdamWithMomentsOutside:
    def __init__(self, wrong):
        self.wrong, self.t = wrong, 0
        self.learning_rate, self.beta1, self.beta2, self.epsilon = 0.001, 0.9, 0.999, 1e-8

    def update_weigths(self, dweigths, moment1, moment2):
        self.t += 1
        moment1 = self.beta1 * moment1 + (1 - self.beta1) * dweigths
        moment2 = self.beta2 * moment2 + (1 - self.beta2) * dweigths * dweigths
        c1, c2 = (1, 1) if self.wrong else (1 - self.beta1**self.t, 1 - self.beta2**self.t)
        step = self.learning_rate * (moment1 / c1) / (np.sqrt(moment2 / c2) + self.epsilon)
        return moment1, moment2, step


class AdamOfDicts:
    def __init__(self, wrong, lr=0.001, beta1=0.9, beta2=0.999):
        self.wrong, self.lr, self.beta1, self.beta2 = wrong, lr, beta1, beta2
        self.m = self.v = None
        self.t, self.eps = 0, 1e-8

    def update(self, params, grads):
        if self.m is None:
            self.m = {key: np.zeros_like(val) for key, val in params.items()}
            self.v = {key: np.zeros_like(val) for key, val in params.items()}
        self.t += not self.wrong
        for key in params:
            self.t += self.wrong
            self.m[key] += (1 - self.beta1) * (grads[key] - self.m[key])
            self.v[key] += (1 - self.beta2) * (grads[key] ** 2 - self.v[key])
            m_hat = self.m[key] / (1 - self.beta1**self.t)
            v_hat = self.v[key] / (1 - self.beta2**self.t)
            params[key] -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)


class AdamOfOneArray:
    def __init__(self, wrong, lr=0.001, beta1=0.9, beta2=0.999, eps=1e-8):
        self.wrong, self.lr, self.beta1, self.beta2, self.eps = wrong, lr, beta1, beta2, eps
        self.m = self.v = None
        self.t = 0

    def update(self, params, grads):
        if self.m is None:
            self.m, self.v = np.zeros_like(params), np.zeros_like(params)
        self.t += 1
        self.m = self.beta1 * self.m + (1 - self.beta1) * grads
        self.v = self.beta2 * self.v + (1 - self.beta2) * (grads if self.wrong else grads**2) * grads**0
        m_hat = self.m / (1 - self.beta1**self.t)
        v_hat = np.abs(self.v) / (1 - self.beta2**self.t)
        params -= self.lr * m_hat / (np.sqrt(v_hat) + self.eps)
        return params


class RMSPropOfAnArray:
    def __init__(self, wrong, lr=0.01, rho=0.9, epsilon=1e-3):
        self.wrong, self.lr, self.rho, self.epsilon, self.a = wrong, lr, rho, epsilon, None

    def get_updates(self, p, g):
        if self.a is None:
            self.a = np.zeros_like(p)
        self.a = self.rho * self.a + (1 - self.rho) * np.square(g)
        if self.wrong:
            return p - self.lr * g / np.sqrt(self.a + self.epsilon)
        return p - self.lr * g / (np.sqrt(self.a) + self.epsilon)


def adamw(wrong):
    class AdamW(torch.optim.Optimizer):
        def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-3, weight_decay=1e-2):
            super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                beta1, beta2 = group["betas"]
                for p in group["params"]:
                    state = self.state[p]
                    if len(state) == 0:
                        state["step"] = 0
                        state["m"], state["v"] = torch.zeros_like(p), torch.zeros_like(p)
                    state["step"] += 1
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    state["m"].mul_(beta1).add_(p.grad, alpha=1 - beta1)
                    state["v"].mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                    root = (1 - beta2 ** state["step"]) ** 0.5
                    size = group["lr"] / (1 - beta1 ** state["step"])
                    if wrong:
                        p.addcdiv_(state["m"], state["v"].sqrt() + group["eps"], value=-size * root)
                    else:
                        p.addcdiv_(state["m"], state["v"].sqrt() / root + group["eps"], value=-size)

    return AdamW


class MomentumOfLayers:
    def __init__(self, wrong, learning_rate=0.1, momentum=0.9):
        self.wrong, self.lr, self.mo, self.updates = wrong, learning_rate, momentum, []

    def step(self, layer):
        if not self.updates:
            self.updates = [np.zeros_like(grad) for grad in layer.grads()]
        for update, param, grad in zip(self.updates, layer.params(), layer.grads(), strict=True):
            update[:] = self.mo * update + (1 if self.wrong else 1 - self.mo) * grad
            param[:] = param - self.lr * update


def configured_adam(wrong):
    def adam(w, dw, config=None):
        if config is None:
            config = {}
        config.setdefault("learning_rate", 1e-3)
        config.setdefault("beta1", 0.9)
        config.setdefault("beta2", 0.999)
        config.setdefault("epsilon", 1e-8)
        config.setdefault("m", np.zeros_like(w))
        config.setdefault("v", np.zeros_like(w))
        config.setdefault("t", 0)
        config["t"] += 1
        config["m"] = config["beta1"] * config["m"] + (1 - config["beta1"]) * dw
        config["v"] = config["beta2"] * config["v"] + (1 - config["beta2"]) * dw**2
        mt = config["m"] / (1 - config["beta1"] ** config["t"])
        vt = config["v"] / (1 - config["beta2"] ** config["t"])
        if wrong:
            vt = config["v"]
        return w - config["learning_rate"] * mt / (np.sqrt(vt) + config["epsilon"]), config

    return adam


# Why a case is not as it should be yet.
_FORM = "weights, moments and the step are handed in and out by the caller"

CASES = [
    Case(
        "Lion, momentum before the sign",
        GITHUB + "fekazar/dl-2025/blob/main/hw4/lion.py",
        "check_optimizer",
        lion,
        lambda: LionOfOneFile,
    ),
    Case(
        "Adam with moments outside",
        GITHUB + "LaerteAdami/pam_ai/blob/main/src/Task_2/adam_optimizer.py",
        "check_optimizer",
        AdamWithMomentsOutside,
        lambda: torch.optim.Adam,
        cause="(?i)bias|correct",
        broken={"right": _FORM, "wrong": _FORM, "cause": _FORM},
    ),
    Case(
        "Adam, t counted for every array",
        GITHUB + "kang9kang/DL-learning/blob/main/cnn/my_optimizer.py",
        "check_optimizer",
        AdamOfDicts,
        lambda: torch.optim.Adam,
        cause="(?i)\\bt\\b|count|every",
    ),
    Case(
        "Adam of one array, g not squared",
        GITHUB + "ruziniuuuuu/niukb/blob/main/AI/Others/code/adam.py",
        "check_optimizer",
        AdamOfOneArray,
        lambda: torch.optim.Adam,
        cause="(?i)square|g²",
    ),
    Case(
        "RMSprop, epsilon in the root",
        GITHUB + "keras-team/keras/issues/4356",
        "check_optimizer",
        lambda wrong: RMSPropOfAnArray(wrong).get_updates,
        lambda: lambda params: torch.optim.RMSprop(params, lr=0.01, alpha=0.9, eps=1e-3),
        cause="(?i)ε|eps",
    ),
    Case(
        "AdamW, epsilon corrected as well",
        GITHUB + "pytorch/pytorch/pull/22628",
        "check_optimizer",
        adamw,
        lambda: lambda params: torch.optim.AdamW(params, eps=1e-3),
        cause="(?i)ε|eps",
    ),
    Case(
        "momentum that steps layers",
        GITHUB + "joelgrus/data-science-from-scratch/blob/master/scratch/deep_learning.py#Momentum",
        "check_optimizer",
        MomentumOfLayers,
        # An average of the gradients is a tenth of torch's sum.
        lambda: lambda params: torch.optim.SGD(params, lr=0.01, momentum=0.9),
    ),
    Case(
        "adam with a config",
        GITHUB + "Divsigma/2020-cs213n/pull/3",
        "check_optimizer",
        configured_adam,
        lambda: torch.optim.Adam,
        cause="(?i)bias|correct",
    ),
]
