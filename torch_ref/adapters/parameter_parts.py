"""A large parameter, of which some entries are tried, and random directions through all of them."""

from dataclasses import dataclass

import numpy as np

ALONG = " along directions"


@dataclass(frozen=True)
class Part:
    """Some entries of a large parameter, and directions through all of them, in the place of the whole.

    Args:
        entries: positions in the flat parameter.
        directions: (K, n), random.
    """

    entries: np.ndarray
    directions: np.ndarray

    def put_into(self, whole: np.ndarray, at_entries: np.ndarray, along: np.ndarray) -> np.ndarray:
        """The parameter with these entries, moved by so much along each direction."""
        moved = (whole.astype(at_entries.dtype) + 0 * at_entries[0]).reshape(-1)
        moved[self.entries] = at_entries
        if type(along) is np.ndarray and not along.any():
            return moved.reshape(whole.shape)
        return (moved + along @ self.directions).reshape(whole.shape)

    def of(self, gradient: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The gradient by the entries, and by how far one goes along the directions."""
        flat = gradient.reshape(-1)
        return flat[self.entries], self.directions @ flat
