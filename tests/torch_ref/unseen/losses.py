"""Losses: the scalar, its gradient, and what goes wrong between the two."""

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import expit, log_ndtr, logsumexp

from .case import TRUTH, labels, normal, right, wrong

CASES = []


# --- cross-entropy ----------------------------------------------------------------------------------------


class SoftmaxWithLoss:
    def __init__(self):
        self.y = self.t = None

    def forward(self, x, t):
        self.t = t
        z = x - x.max(axis=1, keepdims=True)
        self.y = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        return -np.mean(z[np.arange(len(t)), t] - np.log(np.exp(z).sum(axis=1)))

    def backward(self, dout=1):
        n = self.t.shape[0]
        dx = self.y.copy()
        dx[np.arange(n), self.t] -= 1
        return dx * dout / n


class SoftmaxWithLossSum:
    def forward(self, x, t):
        self.t = t
        z = x - x.max(axis=1, keepdims=True)
        self.y = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        return -np.mean(z[np.arange(len(t)), t] - np.log(np.exp(z).sum(axis=1)))

    def backward(self, dout=1):
        dx = self.y.copy()
        dx[np.arange(len(self.t)), self.t] -= 1
        return dx * dout / dx.size  # by all entries instead of the samples


def smoothed_ce(logits, onehot, eps=0.1):
    k = logits.shape[1]
    q = (1 - eps) * onehot + eps / k
    lse = logsumexp(logits, axis=1, keepdims=True)
    logp = logits - lse

    def grad(dl):
        return dl * (np.exp(logp) * q.sum(1, keepdims=True) - q) / len(logits), None

    return -(q * logp).sum() / len(logits), grad


def smoothed_ce_hard(logits, onehot, eps=0.1):
    k = logits.shape[1]
    q = (1 - eps) * onehot + eps / k
    logp = logits - logsumexp(logits, axis=1, keepdims=True)
    return -(q * logp).sum() / len(logits), lambda dl: (dl * (np.exp(logp) - onehot) / len(logits), None)


def smooth_truth(x, o):
    return -((0.9 * o + 0.1 / x.shape[1]) * x.log_softmax(1)).sum(1).mean()


def ce_ignore(logits, target, ignore=-100):
    """Mean over the targets that count."""
    keep = target != ignore
    t = np.where(keep, target, 0)
    logp = logits - logsumexp(logits, axis=-1, keepdims=True)
    rows = np.arange(len(t))
    loss = -(logp[rows, t] * keep).sum() / keep.sum()
    return loss, (np.exp(logp), t, keep)


def ce_ignore_back(g, cache):
    p, t, keep = cache
    d = p.copy()
    d[np.arange(len(t)), t] -= 1
    return g * d * keep[:, None] / keep.sum()


def ce_ignore_back_all(g, cache):
    p, t, keep = cache
    d = p.copy()
    d[np.arange(len(t)), t] -= 1
    d /= keep.sum()
    d[t == 0] = 0  # ignored targets were set to 0, but class 0 exists too
    return g * d


def weighted_ce(logits, onehot, w):
    logp = logits - logsumexp(logits, axis=1, keepdims=True)
    ws = onehot @ w
    total = ws.sum()
    loss = -(ws * (onehot * logp).sum(1)).sum() / total

    def vjp(g):
        return g * (np.exp(logp) - onehot) / total, None, None  # · ws

    return loss, vjp


ONE = np.eye(5)[labels(1, 6, 5)]
IGN = np.array([2, -100, 0, 4, -100, 1, 0])
CASES += [
    right(
        "softmax with loss",
        "cross-entropy",
        "class",
        SoftmaxWithLoss,
        (*normal(1, (6, 5)), labels(2, 6, 5)),
        F.cross_entropy,
        reference=torch.nn.CrossEntropyLoss,
    ),
    wrong(
        "softmax with loss, by all entries",
        "cross-entropy",
        "divided by N·K instead of N",
        "class",
        SoftmaxWithLossSum,
        (*normal(2, (6, 5)), labels(3, 6, 5)),
        F.cross_entropy,
        reference=torch.nn.CrossEntropyLoss,
    ),
    right(
        "smoothed cross-entropy",
        "cross-entropy",
        "closure",
        lambda: smoothed_ce,
        (*normal(3, (6, 5)), ONE),
        smooth_truth,
        options={"held": [1]},
        reference=TRUTH,
    ),
    wrong(
        "smoothed cross-entropy, hard target",
        "cross-entropy",
        "backward uses the target before smoothing",
        "closure",
        lambda: smoothed_ce_hard,
        (*normal(4, (6, 5)), ONE),
        smooth_truth,
        options={"held": [1]},
    ),
    right(
        "cross-entropy with ignored targets",
        "cross-entropy",
        "pair",
        lambda: (ce_ignore, ce_ignore_back),
        (*normal(5, (7, 5)), IGN),
        F.cross_entropy,
    ),
    wrong(
        "cross-entropy, class 0 ignored",
        "cross-entropy",
        "samples of class 0 get no gradient, since ignored ones were set to 0",
        "pair",
        lambda: (ce_ignore, ce_ignore_back_all),
        (*normal(6, (7, 5)), IGN),
        F.cross_entropy,
        reference=lambda: F.cross_entropy,
    ),
    wrong(
        "weighted cross-entropy",
        "cross-entropy",
        "the class weights are missing in backward",
        "closure",
        lambda: weighted_ce,
        (*normal(7, (6, 5)), ONE, np.array([1.0, 2, 0.5, 3, 1.5])),
        lambda x, o, w: F.cross_entropy(x, o.argmax(1), w),
        options={"held": [1, 2]},
    ),
]


# --- binary, regression -----------------------------------------------------------------------------------


def bce_logits(z, y):
    loss = np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z)))
    return loss.mean(), (z, y)


def bce_logits_back(g, cache):
    z, y = cache
    return g * (expit(z) - y) / z.size


class BCEWithLogits:
    def forward(self, z, y):
        self.z, self.y = z, y
        return np.mean(np.logaddexp(0, z) - z * y)

    def backward(self, dl=1.0):
        s = np.where(self.z > 0, 1 / (1 + np.exp(-self.z)), np.exp(self.z))  # / (1 + exp z)
        return dl * (s - self.y) / len(self.y.ravel())


class MSE:
    def __call__(self, pred, target):
        self.diff = pred - target
        return (self.diff**2).mean()

    def backward(self, g=1.0):
        d = 2 * self.diff / self.diff.size * g
        return d, -d


def mse_rows(pred, target):
    d = pred - target
    return 0.5 * np.sum(d**2) / len(d), lambda g: (g * d / len(d), None)


def mse_rows_two(pred, target):
    d = pred - target
    return 0.5 * np.sum(d**2) / len(d), lambda g: (2 * g * d / len(d), None)


def rmse(pred, target):
    d = pred - target
    r = np.sqrt(np.mean(d**2))
    return r, (d, r)


def rmse_back(g, cache):
    d, r = cache
    return g * d / (2 * r * d.size), None  # 2 d / 2


def huber(pred, target, delta=0.7):
    d = pred - target
    a = np.abs(d)
    loss = np.where(a <= delta, 0.5 * d * d, delta * (a - 0.5 * delta))
    return loss.sum(), (d, a, delta)


def huber_back(g, cache):
    d, a, delta = cache
    dp = g * np.clip(d, -delta, delta)
    return dp, -dp


def huber_back_sign(g, cache):
    d, a, delta = cache
    dp = g * np.where(a <= delta, d, delta)  # · sign(d)
    return dp, -dp


def kl_logits(p_logits, q_logits):
    """KL(p‖q), both from logits, mean over the rows."""
    lp = p_logits - logsumexp(p_logits, axis=1, keepdims=True)
    lq = q_logits - logsumexp(q_logits, axis=1, keepdims=True)
    p, q, n = np.exp(lp), np.exp(lq), len(lp)
    rows = (p * (lp - lq)).sum(1, keepdims=True)

    def vjp(g):
        return g * p * (lp - lq - rows) / n, g * (q - p) / n

    return rows.mean(), vjp


def kl_logits_bad(p_logits, q_logits):
    lp = p_logits - logsumexp(p_logits, axis=1, keepdims=True)
    lq = q_logits - logsumexp(q_logits, axis=1, keepdims=True)
    p, q, n = np.exp(lp), np.exp(lq), len(lp)

    def vjp(g):
        return g * p * (lp - lq) / n, g * (q - p) / n  # − KL of the row

    return (p * (lp - lq)).sum() / n, vjp


def kl_truth(a, b):
    return F.kl_div(b.log_softmax(1), a.log_softmax(1), reduction="batchmean", log_target=True)


def gaussian_kl(mu, logvar):
    """KL of N(μ, σ²) from N(0, 1)."""
    kl = -0.5 * (1 + logvar - mu**2 - np.exp(logvar))
    return kl.sum(axis=1).mean(), (mu, logvar)


def gaussian_kl_back(g, cache):
    mu, logvar = cache
    n = len(mu)
    return g * mu / n, g * 0.5 * (np.exp(logvar) - 1) / n


def gaussian_kl_back_bad(g, cache):
    mu, logvar = cache
    n = len(mu)
    return g * mu / n, g * 0.5 * (1 - np.exp(logvar)) / n


def gaussian_kl_truth(m, v):
    n = torch.distributions.Normal
    return torch.distributions.kl_divergence(n(m, (v / 2).exp()), n(0.0 * m, 1.0)).sum(1).mean()


def hinge_fwd(scores, y):
    """Multi-class SVM, margin 1."""
    n = len(y)
    margins = np.maximum(0, scores - scores[np.arange(n), y][:, None] + 1)
    margins[np.arange(n), y] = 0
    return margins.sum() / n, (margins, y)


def hinge_bwd(g, cache):
    margins, y = cache
    n = len(y)
    d = (margins > 0).astype(float)
    d[np.arange(n), y] -= d.sum(axis=1)
    return g * d / n


def hinge_bwd_one(g, cache):
    margins, y = cache
    n = len(y)
    d = (margins > 0).astype(float)
    d[np.arange(n), y] = -1  # minus the number of margins that are violated
    return g * d / n


def hinge_truth(s, y):
    right_score = s.gather(1, y[:, None])
    m = torch.relu(s - right_score + 1)
    return (m.sum(1) - m.gather(1, y[:, None])[:, 0]).mean()


def log_cosh(p, t):
    d = p - t
    return np.mean(np.logaddexp(d, -d) - np.log(2)), lambda g: (
        g * np.tanh(d) / d.size,
        -g * np.tanh(d) / d.size,
    )


def pinball(pred, target, tau=0.8):
    d = target - pred
    loss = np.mean(np.where(d > 0, tau * d, (tau - 1) * d))
    return loss, lambda g: (g * np.where(d > 0, -tau, 1 - tau) / d.size, None)


def pinball_bad(pred, target, tau=0.8):
    d = target - pred
    loss = np.mean(np.where(d > 0, tau * d, (tau - 1) * d))
    return loss, lambda g: (g * np.where(d > 0, -tau, tau - 1) / d.size, None)


def pinball_truth(p, t):
    return torch.maximum(0.8 * (t - p), -0.2 * (t - p)).mean()


BIN = labels(8, (5, 3), 2).astype(float)
CASES += [
    right(
        "bce with logits",
        "binary cross-entropy",
        "pair",
        lambda: (bce_logits, bce_logits_back),
        (*normal(10, (5, 3)), BIN),
        F.binary_cross_entropy_with_logits,
        options={"held": [1]},
        reference=TRUTH,
    ),
    wrong(
        "bce with logits, negative",
        "binary cross-entropy",
        "σ of a negative logit is exp(z), not exp(z)/(1+exp(z))",
        "class",
        BCEWithLogits,
        (*normal(11, (5, 3)), BIN),
        F.binary_cross_entropy_with_logits,
        options={"held": [1]},
        reference=torch.nn.BCEWithLogitsLoss,
    ),
    right(
        "mse of both sides",
        "MSE",
        "class",
        MSE,
        normal(12, (4, 3), (4, 3)),
        F.mse_loss,
        grads="out.0 out.1",
        steps=("__call__", "backward"),
        reference=torch.nn.MSELoss,
    ),
    right(
        "half mse of rows",
        "MSE",
        "closure",
        lambda: mse_rows,
        normal(13, (4, 3), (4, 3)),
        lambda p, t: 0.5 * ((p - t) ** 2).sum(1).mean(),
        options={"held": [1]},
    ),
    wrong(
        "half mse of rows, twice",
        "MSE",
        "a factor 2, although the loss has ½",
        "closure",
        lambda: mse_rows_two,
        normal(14, (4, 3), (4, 3)),
        lambda p, t: 0.5 * ((p - t) ** 2).sum(1).mean(),
        options={"held": [1]},
        reference=TRUTH,
    ),
    wrong(
        "rmse, half",
        "MSE",
        "the 2 of the square is forgotten beside the ½ of the root",
        "pair",
        lambda: (rmse, rmse_back),
        normal(15, (4, 3), (4, 3)),
        lambda p, t: ((p - t) ** 2).mean().sqrt(),
        options={"held": [1]},
    ),
    right(
        "huber",
        "Huber",
        "pair",
        lambda: (huber, huber_back),
        normal(16, (5, 4), (5, 4)),
        lambda p, t: F.huber_loss(p, t, delta=0.7, reduction="sum"),
        reference=lambda: torch.nn.HuberLoss(delta=0.7, reduction="sum"),
    ),
    wrong(
        "huber, sign of the tail",
        "Huber",
        "the lower tail has slope +δ instead of −δ",
        "pair",
        lambda: (huber, huber_back_sign),
        normal(17, (5, 4), (5, 4)),
        lambda p, t: F.huber_loss(p, t, delta=0.7, reduction="sum"),
        reference=TRUTH,
    ),
    right("kl of logits", "KL", "closure", lambda: kl_logits, normal(18, (4, 5), (4, 5)), kl_truth),
    wrong(
        "kl of logits, row's mean",
        "KL",
        "the KL of the row is not taken off in dp",
        "closure",
        lambda: kl_logits_bad,
        normal(19, (4, 5), (4, 5)),
        kl_truth,
        reference=lambda: kl_truth,
    ),
    right(
        "gaussian kl",
        "KL",
        "pair",
        lambda: (gaussian_kl, gaussian_kl_back),
        normal(20, (4, 3), (4, 3)),
        gaussian_kl_truth,
        reference=TRUTH,
    ),
    wrong(
        "gaussian kl, sign",
        "KL",
        "the gradient by log σ² has the wrong sign",
        "pair",
        lambda: (gaussian_kl, gaussian_kl_back_bad),
        normal(21, (4, 3), (4, 3)),
        gaussian_kl_truth,
    ),
    right(
        "svm hinge",
        "hinge",
        "pair",
        lambda: (hinge_fwd, hinge_bwd),
        (*normal(22, (6, 4)), labels(9, 6, 4)),
        hinge_truth,
        reference=TRUTH,
    ),
    wrong(
        "svm hinge, count",
        "hinge",
        "the right class gets −1 instead of minus the number of violations",
        "pair",
        lambda: (hinge_fwd, hinge_bwd_one),
        (*normal(23, (6, 4)), labels(10, 6, 4)),
        hinge_truth,
        reference=lambda: hinge_truth,
    ),
    right(
        "log cosh",
        "Huber",
        "closure",
        lambda: log_cosh,
        normal(24, (4, 3), (4, 3)),
        lambda p, t: torch.log(torch.cosh(p - t)).mean(),
    ),
    right(
        "pinball",
        "hinge",
        "closure",
        lambda: pinball,
        normal(25, (4, 3), (4, 3)),
        pinball_truth,
        options={"held": [1]},
        reference=TRUTH,
    ),
    wrong(
        "pinball, one branch",
        "hinge",
        "the branch of predictions above the target has the wrong sign",
        "closure",
        lambda: pinball_bad,
        normal(26, (4, 3), (4, 3)),
        pinball_truth,
        options={"held": [1]},
    ),
]


# --- focal, triplet, contrastive --------------------------------------------------------------------------


def focal(z, y, gamma=2.0):
    """Binary focal loss of logits, targets ±1."""
    m = y * z
    logp = -np.logaddexp(0, -m)
    p = np.exp(logp)
    loss = (-((1 - p) ** gamma) * logp).mean()

    def vjp(g):
        dm = gamma * (1 - p) ** gamma * p * logp - (1 - p) ** (gamma + 1)
        return g * y * dm / z.size, None

    return loss, vjp


def focal_const(z, y, gamma=2.0):
    m = y * z
    p = expit(m)
    loss = (-((1 - p) ** gamma) * np.log(p)).mean()
    return loss, lambda g: (
        g * y * -((1 - p) ** (gamma + 1)) / z.size,
        None,
    )  # the weight is not differentiated


def focal_truth(z, y):
    return -((1 - torch.sigmoid(y * z)) ** 2 * F.logsigmoid(y * z)).mean()


def triplet(a, p, n, margin=1.0):
    dp = np.sqrt(((a - p) ** 2).sum(1))
    dn = np.sqrt(((a - n) ** 2).sum(1))
    on = dp - dn + margin > 0

    def vjp(g):
        s = (g * on / len(a))[:, None]
        up = (a - p) / dp[:, None]
        un = (a - n) / dn[:, None]
        return s * (up - un), -s * up, s * un

    return np.maximum(dp - dn + margin, 0).mean(), vjp


def triplet_squared(a, p, n, margin=1.0):
    dp, dn = np.sum((a - p) ** 2, 1), np.sum((a - n) ** 2, 1)
    loss = np.maximum(dp - dn + margin, 0)
    active = (loss > 0)[:, None] / len(a)
    return loss.mean(), lambda g: (
        2 * g * active * (n - p),
        -2 * g * active * (a - p),
        -2 * g * active * (a - n),
    )


def triplet_truth(a, p, n):
    return torch.relu((a - p).norm(dim=1) - (a - n).norm(dim=1) + 1).mean()


def triplet_squared_truth(a, p, n):
    return torch.relu(((a - p) ** 2).sum(1) - ((a - n) ** 2).sum(1) + 1).mean()


class InfoNCE:
    """Symmetric, of normalised rows, temperature 0.5."""

    def forward(self, u, v):
        self.nu, self.nv = np.linalg.norm(u, axis=1, keepdims=True), np.linalg.norm(v, axis=1, keepdims=True)
        self.a, self.b = u / self.nu, v / self.nv
        s = self.a @ self.b.T / 0.5
        self.rows, self.cols = s - logsumexp(s, 1, keepdims=True), s - logsumexp(s, 0, keepdims=True)
        return -0.5 * (np.diag(self.rows).mean() + np.diag(self.cols).mean())

    def backward(self, g=1.0):
        n = len(self.a)
        ds = g * 0.5 / n * (np.exp(self.rows) + np.exp(self.cols) - 2 * np.eye(n)) / 0.5
        da, db = ds @ self.b, ds.T @ self.a
        du = (da - self.a * (self.a * da).sum(1, keepdims=True)) / self.nu
        dv = (db - self.b * (self.b * db).sum(1, keepdims=True)) / self.nv
        return du, dv


def info_nce_one_side(u, v, tau=0.3):
    s = u @ v.T / tau
    logp = s - logsumexp(s, axis=1, keepdims=True)

    def vjp(g):
        ds = g * (np.exp(logp) - np.eye(len(u))) / len(u) / tau
        return ds @ v, ds @ u  # dsᵀ u

    return -np.diag(logp).mean(), vjp


def self_similarity(z):
    """Rows against rows of the same array, the diagonal left out."""
    s = z @ z.T
    s[np.diag_indices(len(z))] = -np.inf
    loss = logsumexp(s, axis=1).mean()
    return loss, (z, np.exp(s - logsumexp(s, axis=1, keepdims=True)) / len(z))


def self_similarity_back(g, cache):
    z, p = cache
    return g * p @ z  # and pᵀ z: each row stands on both sides


def self_similarity_back_both(g, cache):
    z, p = cache
    return g * (p + p.T) @ z


def info_truth(u, v):
    s = F.normalize(u, dim=1) @ F.normalize(v, dim=1).T / 0.5
    i = torch.arange(len(u))
    return (F.cross_entropy(s, i) + F.cross_entropy(s.T, i)) / 2


def info_one_truth(u, v):
    return F.cross_entropy(u @ v.T / 0.3, torch.arange(len(u)))


def self_truth(z):
    return (z @ z.T).masked_fill(torch.eye(len(z), dtype=bool), -torch.inf).logsumexp(1).mean()


SIGNS = 2 * BIN - 1
CASES += [
    right(
        "focal loss",
        "focal",
        "closure",
        lambda: focal,
        (*normal(30, (5, 3)), SIGNS),
        focal_truth,
        options={"held": [1]},
        reference=TRUTH,
    ),
    wrong(
        "focal loss, constant weight",
        "focal",
        "the weight (1 − p)^γ is taken as constant",
        "closure",
        lambda: focal_const,
        (*normal(31, (5, 3)), SIGNS),
        focal_truth,
        options={"held": [1]},
        reference=lambda: focal_truth,
    ),
    right(
        "triplet", "triplet", "closure", lambda: triplet, normal(32, (5, 4), (5, 4), (5, 4)), triplet_truth
    ),
    wrong(
        "triplet, sign of the negative",
        "triplet",
        "dn has the wrong sign",
        "closure",
        lambda: triplet_squared,
        normal(33, (5, 4), (5, 4), (5, 4)),
        triplet_squared_truth,
    ),
    right(
        "InfoNCE",
        "contrastive",
        "class",
        InfoNCE,
        normal(34, (5, 4), (5, 4)),
        info_truth,
        grads="out.0 out.1",
    ),
    wrong(
        "InfoNCE, not transposed",
        "contrastive",
        "dv uses ds instead of dsᵀ, which is square",
        "closure",
        lambda: info_nce_one_side,
        normal(35, (5, 4), (5, 4)),
        info_one_truth,
        reference=TRUTH,
    ),
    right(
        "similarity of a batch to itself",
        "contrastive",
        "pair",
        lambda: (self_similarity, self_similarity_back_both),
        (0.6 * normal(36, (5, 4))[0],),
        self_truth,
    ),
    wrong(
        "similarity to itself, one side",
        "contrastive",
        "z stands on both sides, one is differentiated",
        "pair",
        lambda: (self_similarity, self_similarity_back),
        (0.6 * normal(37, (5, 4))[0],),
        self_truth,
        reference=lambda: self_truth,
    ),
]


# --- CRF, mixture density, censored -----------------------------------------------------------------------


def crf_logz(emit, trans):
    """log Z of a chain: emit (T, K), trans (K, K)."""
    T, K = emit.shape
    alpha = np.zeros((T, K))
    alpha[0] = emit[0]
    for t in range(1, T):
        alpha[t] = emit[t] + logsumexp(alpha[t - 1][:, None] + trans, axis=0)
    return logsumexp(alpha[-1]), (emit, trans, alpha)


def crf_logz_grad(g, cache):
    emit, trans, alpha = cache
    de, dt = np.zeros_like(emit), np.zeros_like(trans)
    da = g * np.exp(alpha[-1] - logsumexp(alpha[-1]))
    for t in range(len(emit) - 1, 0, -1):
        de[t] += da
        s = alpha[t - 1][:, None] + trans
        w = np.exp(s - logsumexp(s, axis=0)) * da
        dt += w
        da = w.sum(axis=1)
    de[0] = da
    return de, dt


def crf_logz_grad_bad(g, cache):
    emit, trans, alpha = cache
    de, dt = np.zeros_like(emit), np.zeros_like(trans)
    da = g * np.exp(alpha[-1] - logsumexp(alpha[-1]))
    for t in range(len(emit) - 1, 0, -1):
        de[t] = da
        s = alpha[t][:, None] + trans  # alpha of t − 1
        w = np.exp(s - logsumexp(s, axis=0)) * da
        dt += w
        da = w.sum(axis=1)
    de[0] = da
    return de, dt


def crf_marginals(emit, trans):
    """The same gradient by forward and backward messages."""
    T, K = emit.shape
    a, b = emit.copy(), np.zeros((T, K))
    for t in range(1, T):
        a[t] += logsumexp(a[t - 1][:, None] + trans, axis=0)
    for t in range(T - 2, -1, -1):
        b[t] = logsumexp(trans + emit[t + 1] + b[t + 1], axis=1)
    z = logsumexp(a[-1])

    def vjp(g):
        pair = a[:-1, :, None] + trans + (emit + b)[1:, None, :] - z
        return g * np.exp(a + b - z), g * np.exp(pair).sum(axis=0)

    return z, vjp


def crf_truth(e, t):
    a = e[0]
    for row in e[1:]:
        a = row + torch.logsumexp(a[:, None] + t, 0)
    return torch.logsumexp(a, 0)


class MixtureNLL:
    """A mixture of normals: logits, means, log deviations (n, k); targets (n,)."""

    def forward(self, logits, mu, logs, y):
        self.s = np.exp(logs)
        self.d = (y[:, None] - mu) / self.s
        self.lpi = logits - logsumexp(logits, 1, keepdims=True)
        comp = self.lpi - logs - 0.5 * self.d**2 - 0.5 * np.log(2 * np.pi)
        self.tot = logsumexp(comp, 1, keepdims=True)
        self.resp = np.exp(comp - self.tot)
        return -self.tot.mean()

    def backward(self, g=1.0):
        n = len(self.d)
        return (
            g / n * (np.exp(self.lpi) - self.resp),
            -g / n * self.resp * self.d / self.s,
            g / n * self.resp * (1 - self.d**2),
        )


class MixtureNLLBad(MixtureNLL):
    def backward(self, g=1.0):
        n = len(self.d)
        dlogits = g / n * (np.exp(self.lpi) - self.resp)
        dmu = -g / n * self.resp * self.d / self.s
        dlogs = -g / n * self.resp * self.d**2  # and + 1, of the normaliser
        return dlogits, dmu, dlogs


def mixture_truth(logits, mu, logs, y):
    parts = torch.distributions.Normal(mu, logs.exp())
    mix = torch.distributions.Categorical(logits=logits)
    return -torch.distributions.MixtureSameFamily(mix, parts).log_prob(y).mean()


def gaussian_nll(mu, logvar, y):
    v = np.exp(logvar)
    return 0.5 * (logvar + (y - mu) ** 2 / v).mean(), lambda g: (
        g * (mu - y) / v / y.size,
        g * 0.5 * (1 - (y - mu) ** 2 / v) / y.size,
        None,
    )


def probit(z, y):
    """−log Φ(y z), targets ±1."""
    m = y * z
    lp = log_ndtr(m)

    def vjp(g):
        phi = np.exp(-0.5 * m * m) / np.sqrt(2 * np.pi)
        return -g * phi / np.exp(lp), None  # · y

    return -lp.sum(), vjp


CASES += [
    right(
        "crf log Z by BPTT",
        "CRF",
        "pair",
        lambda: (crf_logz, crf_logz_grad),
        normal(40, (5, 3), (3, 3)),
        crf_truth,
        reference=TRUTH,
    ),
    wrong(
        "crf log Z, off by one",
        "CRF",
        "backward uses α of t instead of t − 1",
        "pair",
        lambda: (crf_logz, crf_logz_grad_bad),
        normal(41, (5, 3), (3, 3)),
        crf_truth,
    ),
    right(
        "crf log Z by marginals",
        "CRF",
        "closure",
        lambda: crf_marginals,
        normal(42, (5, 3), (3, 3)),
        crf_truth,
        reference=lambda: crf_truth,
    ),
    right(
        "mixture density",
        "mixture density",
        "class",
        MixtureNLL,
        normal(43, (5, 3), (5, 3), (5, 3), (5,)),
        mixture_truth,
        grads="out.0 out.1 out.2",
        options={"held": [3]},
        reference=TRUTH,
    ),
    wrong(
        "mixture density, normaliser",
        "mixture density",
        "the log σ of the density is not differentiated",
        "class",
        MixtureNLLBad,
        normal(44, (5, 3), (5, 3), (5, 3), (5,)),
        mixture_truth,
        grads="out.0 out.1 out.2",
        options={"held": [3]},
    ),
    right(
        "gaussian nll",
        "mixture density",
        "closure",
        lambda: gaussian_nll,
        normal(45, (6,), (6,), (6,)),
        lambda m, v, y: 0.5 * (v + (y - m) ** 2 / v.exp()).mean(),
        options={"held": [2]},
    ),
    wrong(
        "probit, sign of the target",
        "binary cross-entropy",
        "y is missing: wrong for targets of −1",
        "closure",
        lambda: probit,
        (*normal(46, (5, 3)), SIGNS),
        lambda z, y: -torch.special.log_ndtr(y * z).sum(),
        options={"held": [1]},
    ),
]
