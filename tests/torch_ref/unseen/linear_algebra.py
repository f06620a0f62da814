"""Inverses, determinants, factorisations, norms of matrices."""

import numpy as np
import torch
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from .case import TRUTH, normal, right, wrong

CASES = []


def well(seed, n, batch=()):
    """Square and far from singular."""
    return (normal(seed, (*batch, n, n))[0] + 3 * np.eye(n),)


def inverse(A):
    """d(A⁻¹) = −A⁻¹ dA A⁻¹."""
    Y = np.linalg.inv(A)
    return Y, Y


def inverse_grad(G, Y):
    return -Y.swapaxes(-1, -2) @ G @ Y.swapaxes(-1, -2)


def inverse_grad_bad(G, Y):
    return -Y @ G @ Y  # not transposed


class Inverse:
    def forward(self, A):
        self.Y = np.linalg.inv(A)
        return self.Y

    def backward(self, G):
        return self.Y.T @ G @ self.Y.T


def solve(A, b):
    x = np.linalg.solve(A, b)

    def vjp(g):
        db = np.linalg.solve(A.T, g)
        return -np.outer(db, x), db

    return x, vjp


def solve_bad(A, b):
    x = np.linalg.solve(A, b)

    def vjp(g):
        db = np.linalg.solve(A.T, g)
        return -np.outer(x, db), db  # transposed

    return x, vjp


def logdet(A):
    sign, value = np.linalg.slogdet(A)
    return value, A


def logdet_grad(g, A):
    return g * np.linalg.inv(A).T


def logdet_grad_bad(g, A):
    return g * np.linalg.inv(A)


def det(A):
    d = np.linalg.det(A)
    return d, lambda g: (g * d)[..., None, None] * np.linalg.inv(A).swapaxes(-1, -2)


def det_bad(A):
    d = np.linalg.det(A)
    return d, lambda g: g[..., None, None] * np.linalg.inv(A).swapaxes(-1, -2)  # · det


def spd(B):
    return B @ B.T + np.eye(len(B))


class CholeskySolve:
    """x = (B Bᵀ + I)⁻¹ y."""

    def forward(self, B, y):
        self.B = B
        self.c = cho_factor(spd(B), lower=True)
        self.x = cho_solve(self.c, y)
        return self.x

    def backward(self, g):
        dy = cho_solve(self.c, g)
        dS = -dy @ self.x.T
        return (dS + dS.T) @ self.B, dy


class CholeskySolveHalf(CholeskySolve):
    def backward(self, g):
        dy = cho_solve(self.c, g)
        dS = -dy @ self.x.T
        return 2 * dS @ self.B, dy  # dS is not symmetric


def chol_truth(B, y):
    return torch.cholesky_solve(y, torch.linalg.cholesky(B @ B.T + torch.eye(len(B), dtype=B.dtype)))


def cholesky(B):
    """The factor L of B Bᵀ + I, and Murray's formula back."""
    L = np.linalg.cholesky(spd(B))

    def vjp(G):
        P = np.tril(L.T @ G)
        P[np.diag_indices(len(P))] /= 2
        Y = solve_triangular(L, P, trans="T", lower=True)
        S = solve_triangular(L, Y.T, trans="T", lower=True).T
        return (S + S.T) @ B

    return L, vjp


def cholesky_bad(B):
    L = np.linalg.cholesky(spd(B))

    def vjp(G):
        P = np.tril(L.T @ G)  # the diagonal is not halved
        Y = solve_triangular(L, P, trans="T", lower=True)
        S = solve_triangular(L, Y.T, trans="T", lower=True).T
        return (S + S.T) @ B

    return L, vjp


def cholesky_truth(B):
    return torch.linalg.cholesky(B @ B.T + torch.eye(len(B), dtype=B.dtype))


def spectral(W):
    """The largest singular value."""
    u, s, vt = np.linalg.svd(W)
    return s[0], lambda g: g * np.outer(u[:, 0], vt[0])


class SpectralPenalty:
    def __init__(self, weight=0.1):
        self.weight = weight

    def forward(self, W):
        U, s, Vt = np.linalg.svd(W, full_matrices=False)
        self.u, self.s, self.v = U[:, 0], s[0], Vt[0]
        return self.weight * self.s**2

    def backward(self, g=1.0):
        return g * self.weight * np.outer(self.u, self.v)  # · 2σ


def nuclear(W):
    U, s, Vt = np.linalg.svd(W, full_matrices=False)
    return s.sum(), (U, Vt)


def nuclear_grad(g, cache):
    U, Vt = cache
    return g * U @ Vt


def orthogonality(W):
    """‖Wᵀ W − I‖²."""
    R = W.T @ W - np.eye(W.shape[1])
    return np.sum(R * R), lambda g: 4 * g * W @ R


def orthogonality_bad(W):
    R = W.T @ W - np.eye(W.shape[1])
    return np.sum(R * R), lambda g: 2 * g * W @ R  # W stands twice


def trace_product(A, B):
    return np.einsum("ij,ji->", A, B), lambda g: (g * B.T, g * A.T)


def trace_product_bad(A, B):
    return np.trace(A @ B), lambda g: (g * B, g * A)


def quadratic(x, A):
    """xᵀ A x of each row; A need not be symmetric."""
    return np.einsum("ni,ij,nj->n", x, A, x), (x, A)


def quadratic_grad(g, cache):
    x, A = cache
    return g[:, None] * (x @ A.T + x @ A), np.einsum("n,ni,nj->ij", g, x, x)


def quadratic_grad_bad(g, cache):
    x, A = cache
    return g[:, None] * 2 * (x @ A), np.einsum("n,ni,nj->ij", g, x, x)


def matrix_power(A):
    """A³, by the product rule."""
    A2 = A @ A
    T = A.T
    return A2 @ A, lambda G: G @ A2.T + T @ G @ T + A2.T @ G


def matrix_power_bad(A):
    return A @ A @ A, lambda G: 3 * (A @ A).T @ G  # as if matrices commuted


def chain(A, B, C):
    AB = A @ B
    return AB @ C, (A, B, C, AB)


def chain_grad(G, cache):
    A, B, C, AB = cache
    dAB = G @ C.T
    return dAB @ B.T, A.T @ dAB, AB.T @ G


def chain_grad_bad(G, cache):
    A, B, C, AB = cache
    dAB = G @ C.T
    return dAB @ B.T, A.T @ G, AB.T @ G  # G for dAB, all are square


def mahalanobis(x, mu, L):
    """‖L⁻¹(x − μ)‖² of each row, L lower triangular (what is above is not read)."""
    z = solve_triangular(L, (x - mu).T, lower=True)

    def vjp(g):
        dz = 2 * z * g
        dr = solve_triangular(L, dz, lower=True, trans="T")
        return dr.T, -dr.sum(axis=1), np.tril(-dr @ z.T)

    return (z * z).sum(axis=0), vjp


def mahalanobis_bad(x, mu, L):
    z = solve_triangular(L, (x - mu).T, lower=True)

    def vjp(g):
        dz = 2 * z * g
        dr = solve_triangular(L, dz, lower=True, trans="T")
        return dr.T, -dr.sum(axis=1), -dr @ z.T  # not cut to the lower triangle

    return (z * z).sum(axis=0), vjp


def mahalanobis_truth(x, mu, L):
    return (torch.linalg.solve_triangular(L.tril(), (x - mu).T, upper=False) ** 2).sum(0)


def pairwise(x, y):
    """Squared distances of all rows."""
    d = (x * x).sum(1)[:, None] + (y * y).sum(1) - 2 * x @ y.T

    def vjp(g):
        dx = 2 * (g.sum(1)[:, None] * x - g @ y)
        dy = 2 * (g.sum(0)[:, None] * y - g.T @ x)
        return dx, dy

    return d, vjp


def gram_rbf(x):
    """exp(−‖x_i − x_j‖²/2)."""
    diff = x[:, None] - x[None]
    K = np.exp(-0.5 * (diff**2).sum(-1))

    def vjp(g):
        return -((g * K)[..., None] * diff).sum(axis=1)  # and what comes from the column

    return K, vjp


def gram_rbf_both(x):
    diff = x[:, None] - x[None]
    K = np.exp(-0.5 * (diff**2).sum(-1))

    def vjp(g):
        w = (g + g.T) * K
        return -(w[..., None] * diff).sum(axis=1)

    return K, vjp


def rbf_truth(x):
    return torch.exp(-0.5 * ((x[:, None] - x[None]) ** 2).sum(-1))


def expm_scaled(A):
    """The exponential by its series to the 12th power."""
    terms = [np.eye(len(A))]
    for k in range(1, 13):
        terms.append(terms[-1] @ A / k)

    def vjp(G):
        d = np.zeros_like(A)
        carry = np.zeros_like(A)
        for k in range(12, 0, -1):
            carry = carry + G
            d += terms[k - 1].T @ carry / k
            carry = carry @ A.T / k
        return d

    return sum(terms), vjp


def series_truth(A):
    t = out = torch.eye(len(A), dtype=A.dtype)
    for k in range(1, 13):
        t = t @ A / k
        out = out + t
    return out


CASES += [
    right(
        "inverse",
        "matrix inverse",
        "pair",
        lambda: (inverse, inverse_grad),
        well(1, 3, (2,)),
        torch.linalg.inv,
    ),
    wrong(
        "inverse, not transposed",
        "matrix inverse",
        "−Y G Y instead of −Yᵀ G Yᵀ",
        "pair",
        lambda: (inverse, inverse_grad_bad),
        well(2, 3),
        torch.linalg.inv,
        reference=lambda: torch.linalg.inv,
    ),
    wrong(
        "inverse, sign",
        "matrix inverse",
        "the minus sign is missing",
        "class",
        Inverse,
        well(3, 4),
        torch.linalg.inv,
        reference=TRUTH,
    ),
    right(
        "solve",
        "matrix inverse",
        "closure",
        lambda: solve,
        (*well(4, 3), *normal(5, (3,))),
        torch.linalg.solve,
        reference=lambda: torch.linalg.solve,
    ),
    wrong(
        "solve, outer product",
        "matrix inverse",
        "dA is x dbᵀ instead of db xᵀ",
        "closure",
        lambda: solve_bad,
        (*well(6, 3), *normal(7, (3,))),
        torch.linalg.solve,
    ),
    right(
        "logdet",
        "determinant",
        "pair",
        lambda: (logdet, logdet_grad),
        well(8, 4),
        lambda A: torch.linalg.slogdet(A)[1],
    ),
    wrong(
        "logdet, not transposed",
        "determinant",
        "A⁻¹ instead of its transpose",
        "pair",
        lambda: (logdet, logdet_grad_bad),
        well(9, 4),
        lambda A: torch.linalg.slogdet(A)[1],
        reference=lambda: lambda A: torch.linalg.slogdet(A).logabsdet,
    ),
    right("determinants", "determinant", "closure", lambda: det, well(10, 3, (4,)), torch.linalg.det),
    wrong(
        "determinants, of the logarithm",
        "determinant",
        "the gradient of log det: the factor det is missing",
        "closure",
        lambda: det_bad,
        well(11, 3, (4,)),
        torch.linalg.det,
        reference=TRUTH,
    ),
    right(
        "cholesky solve",
        "Cholesky",
        "class",
        CholeskySolve,
        normal(12, (4, 4), (4, 2)),
        chol_truth,
        grads="out.0 out.1",
    ),
    wrong(
        "cholesky solve, symmetry",
        "Cholesky",
        "2 dS instead of dS + dSᵀ",
        "class",
        CholeskySolveHalf,
        normal(13, (4, 4), (4, 2)),
        chol_truth,
        grads="out.0 out.1",
        reference=lambda: chol_truth,
    ),
    right(
        "cholesky factor",
        "Cholesky",
        "closure",
        lambda: cholesky,
        normal(14, (4, 4)),
        cholesky_truth,
        reference=lambda: cholesky_truth,
    ),
    wrong(
        "cholesky factor, diagonal",
        "Cholesky",
        "the diagonal is not halved",
        "closure",
        lambda: cholesky_bad,
        normal(15, (4, 4)),
        cholesky_truth,
        reference=TRUTH,
    ),
    right(
        "spectral norm",
        "spectral penalty",
        "closure",
        lambda: spectral,
        normal(16, (4, 3)),
        lambda W: torch.linalg.matrix_norm(W, 2),
    ),
    wrong(
        "spectral penalty, square",
        "spectral penalty",
        "the 2σ of the square is missing",
        "class",
        SpectralPenalty,
        normal(17, (4, 3)),
        lambda W: 0.1 * torch.linalg.matrix_norm(W, 2) ** 2,
    ),
    right(
        "nuclear norm",
        "spectral penalty",
        "pair",
        lambda: (nuclear, nuclear_grad),
        normal(18, (4, 3)),
        lambda W: torch.linalg.matrix_norm(W, "nuc"),
    ),
    right(
        "orthogonality",
        "spectral penalty",
        "closure",
        lambda: orthogonality,
        normal(19, (4, 3)),
        lambda W: ((W.T @ W - torch.eye(W.shape[1], dtype=W.dtype)) ** 2).sum(),
        reference=TRUTH,
    ),
    wrong(
        "orthogonality, half",
        "spectral penalty",
        "W stands twice in Wᵀ W, one is differentiated",
        "closure",
        lambda: orthogonality_bad,
        normal(20, (4, 3)),
        lambda W: ((W.T @ W - torch.eye(W.shape[1], dtype=W.dtype)) ** 2).sum(),
    ),
    right(
        "trace of a product",
        "einsum",
        "closure",
        lambda: trace_product,
        normal(21, (3, 4), (4, 3)),
        lambda A, B: torch.trace(A @ B),
        reference=TRUTH,
    ),
    wrong(
        "trace of a product, square",
        "einsum",
        "B instead of Bᵀ, all are square",
        "closure",
        lambda: trace_product_bad,
        normal(22, (3, 3), (3, 3)),
        lambda A, B: torch.trace(A @ B),
        reference=lambda: lambda A, B: torch.trace(A @ B),
    ),
    right(
        "quadratic form",
        "bilinear",
        "pair",
        lambda: (quadratic, quadratic_grad),
        normal(23, (4, 3), (3, 3)),
        lambda x, A: torch.einsum("ni,ij,nj->n", x, A, x),
    ),
    wrong(
        "quadratic form, symmetric",
        "bilinear",
        "2 A x, which holds for symmetric A only",
        "pair",
        lambda: (quadratic, quadratic_grad_bad),
        normal(24, (4, 3), (3, 3)),
        lambda x, A: torch.einsum("ni,ij,nj->n", x, A, x),
        reference=TRUTH,
    ),
    right(
        "third power",
        "einsum",
        "closure",
        lambda: matrix_power,
        normal(25, (3, 3)),
        lambda A: A @ A @ A,
        reference=lambda: lambda A: torch.linalg.matrix_power(A, 3),
    ),
    wrong(
        "third power, commuting",
        "einsum",
        "3 (A²)ᵀ G, as if matrices commuted",
        "closure",
        lambda: matrix_power_bad,
        normal(26, (3, 3)),
        lambda A: A @ A @ A,
    ),
    right(
        "product of three",
        "einsum",
        "pair",
        lambda: (chain, chain_grad),
        normal(27, (2, 3), (3, 4), (4, 5)),
        lambda A, B, C: A @ B @ C,
        reference=TRUTH,
    ),
    wrong(
        "product of three, square",
        "einsum",
        "dB uses G instead of G Cᵀ",
        "pair",
        lambda: (chain, chain_grad_bad),
        normal(28, (3, 3), (3, 3), (3, 3)),
        lambda A, B, C: A @ B @ C,
    ),
    right(
        "mahalanobis",
        "Cholesky",
        "closure",
        lambda: mahalanobis,
        (*normal(29, (5, 3), (3,)), np.tril(well(30, 3)[0])),
        mahalanobis_truth,
    ),
    wrong(
        "mahalanobis, upper triangle",
        "Cholesky",
        "dL is not cut to the lower triangle",
        "closure",
        lambda: mahalanobis_bad,
        (*normal(31, (5, 3), (3,)), np.tril(well(32, 3)[0])),
        mahalanobis_truth,
        reference=lambda: mahalanobis_truth,
    ),
    right(
        "squared distances",
        "norm of a vector",
        "closure",
        lambda: pairwise,
        normal(33, (4, 3), (5, 3)),
        lambda x, y: ((x[:, None] - y[None]) ** 2).sum(-1),
        reference=TRUTH,
    ),
    wrong(
        "kernel matrix, one side",
        "norm of a vector",
        "x stands in row and column, one is differentiated",
        "closure",
        lambda: gram_rbf,
        normal(34, (4, 3)),
        rbf_truth,
        reference=lambda: rbf_truth,
    ),
    right(
        "kernel matrix", "norm of a vector", "closure", lambda: gram_rbf_both, normal(35, (4, 3)), rbf_truth
    ),
    right(
        "exponential series",
        "matrix inverse",
        "closure",
        lambda: expm_scaled,
        normal(36, (3, 3)),
        series_truth,
        reference=TRUTH,
    ),
]
