"""Where each image's view lies on the sphere, from the three leading eigenvectors at angular frequency 1.

On evenly spread views their rows are z = U (r_1 + i r_2) e^{-i psi}, r_1 and r_2 orthogonal unit vectors across the
view and U one unitary matrix (Hadani and Singer, Ann. Math. 174:1219, 2011). So z^T S z = 0 with S = conj(U) conj(U)^T:
S is the least singular vector of the products of the entries of z, its Takagi factors give U, and the view is
r_1 x r_2. Mirror images of views, and the hand of the whole, cannot be told apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryoalign.classification.diffusion import Embedding


def view_directions(embedding: Embedding) -> NDArray[np.float32]:
    """Return a unit vector for each image, float32 (n, 3); 0 for images that no edge reaches.

    Parameters
    ----------
    embedding
        Eigenvectors; the first part must hold three of frequency 1, or all directions are 0.
    """
    n = embedding.n
    if embedding.frequency[0] != 1 or embedding.vector[0].shape[1] < 3:
        return np.zeros((n, 3), np.float32)
    z = embedding.vector[0][:, :3].astype(np.complex128)
    length = np.linalg.norm(z, axis=1)
    z = z / np.where(length > 0, length, 1.0)[:, None]
    rows, columns = np.triu_indices(3)
    products = z[:, rows] * z[:, columns] * np.where(rows == columns, 1.0, 2.0)
    least = np.linalg.eigh(products.conj().T @ products)[1][:, 0]
    form = np.zeros((3, 3), np.complex128)
    form[rows, columns] = form[columns, rows] = least
    z = z @ _takagi(form)
    across = np.cross(z.real, z.imag)
    size = np.linalg.norm(across, axis=1)
    return np.asarray(across / np.where(size > 0, size, 1.0)[:, None], dtype=np.float32)


def _takagi(form: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Return W with form = W W^T but for its scale; then z^T form z = (W^T z)^T (W^T z), and rows z W are isotropic."""
    # Eigenvectors of [[Re, Im], [Im, -Re]] for positive eigenvalues are (Re w, -Im w) with form conj(w) = s w.
    real = np.block([[form.real, form.imag], [form.imag, -form.real]])
    value, vector = np.linalg.eigh(real)
    top = vector[:, np.argsort(-value, kind="stable")[:3]]
    top = np.where(top[np.argmax(np.abs(top), axis=0), range(3)] < 0, -top, top)
    return np.asarray(top[:3] + 1j * top[3:])
