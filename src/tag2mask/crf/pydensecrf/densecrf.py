"""Drop-in replacement for pydensecrf: its names, argument order and layouts, width before height.

    import tag2mask.crf.pydensecrf.densecrf as dcrf                  # was: import pydensecrf.densecrf as dcrf
    from tag2mask.crf.pydensecrf.densecrf import unary_from_softmax  # was: from pydensecrf.utils import ...

The usual case, one Gaussian and one bilateral term with Potts compatibility and symmetric normalisation,
runs on the fast kernels of `dense_crf`; everything else on a general lattice. Results are NumPy arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tag2mask.core.errors import ConfigError, DataError
from tag2mask.crf import checks
from tag2mask.crf.inference import mean_field
from tag2mask.crf.lattice import Deviations, Lattice
from tag2mask.crf.pairwise import KernelType, NormalizationType, PairwiseTerm, deviations
from tag2mask.crf.pydensecrf.utils import (
    compute_unary,
    create_pairwise_bilateral,
    create_pairwise_gaussian,
    softmax_to_unary,
    unary_from_labels,
    unary_from_softmax,
)

Floats = NDArray[np.float32]

CONST_KERNEL = KernelType.CONST_KERNEL
DIAG_KERNEL = KernelType.DIAG_KERNEL
FULL_KERNEL = KernelType.FULL_KERNEL
NO_NORMALIZATION = NormalizationType.NO_NORMALIZATION
NORMALIZE_BEFORE = NormalizationType.NORMALIZE_BEFORE
NORMALIZE_AFTER = NormalizationType.NORMALIZE_AFTER
NORMALIZE_SYMMETRIC = NormalizationType.NORMALIZE_SYMMETRIC

__all__ = [
    "CONST_KERNEL",
    "DIAG_KERNEL",
    "FULL_KERNEL",
    "NORMALIZE_AFTER",
    "NORMALIZE_BEFORE",
    "NORMALIZE_SYMMETRIC",
    "NO_NORMALIZATION",
    "ConstUnary",
    "DenseCRF",
    "DenseCRF2D",
    "KernelType",
    "LogisticUnary",
    "NormalizationType",
    "Unary",
    "compute_unary",
    "create_pairwise_bilateral",
    "create_pairwise_gaussian",
    "softmax_to_unary",
    "unary_from_labels",
    "unary_from_softmax",
]

_LEAST_KL = np.float32(1e-20)
_HUGE = 1e6


class Unary:
    """Base of the unary objects that `DenseCRF.setUnary` takes."""


class ConstUnary(Unary):
    """A unary given as energies."""

    def __init__(self, u: Floats) -> None:
        """Hold `u`, float32 (K, N), the negative log-probabilities."""
        self.energies = u


class LogisticUnary(Unary):
    """A unary with parameters to learn; not supported."""

    def __init__(self, *args: Any) -> None:
        raise ConfigError("LogisticUnary is for learning, which this package does not do; use ConstUnary")


class DenseCRF:
    """A fully connected CRF over any points.

    Energies are float32 (K, N). Inference starts from softmax(-unary).
    """

    def __init__(self, nvar: int, nlabels: int) -> None:
        """Make a CRF over `nvar` points with `nlabels` classes."""
        self._count = checks.count("nvar", nvar, least=1)
        self._labels = checks.count("nlabels", nlabels, least=1)
        self._unary: Floats | None = None
        self._terms: list[PairwiseTerm] = []

    def setUnary(self, u: Unary) -> None:  # noqa: N802 (pydensecrf's name)
        """Set the unary from a `ConstUnary`."""
        if not isinstance(u, ConstUnary):
            raise DataError(f"setUnary takes a ConstUnary, not {type(u).__name__}; or use setUnaryEnergy")
        self.setUnaryEnergy(u.energies)

    def setUnaryEnergy(self, u: Floats, f: Any = None) -> None:  # noqa: N802
        """Set the unary.

        Args:
            u: float (K, N), negative log-probabilities, finite.
            f: features of a unary to learn; not supported.

        Raises:
            DataError: another type or shape, or not finite.
            ConfigError: `f` is given.
        """
        if f is not None:
            raise ConfigError("a unary with features is for learning, which this package does not do")
        energies = np.asarray(u)
        if energies.dtype.kind != "f" or energies.shape != (self._labels, self._count):
            raise DataError(
                f"the unary must be float32 of shape ({self._labels}, {self._count}), "
                f"not {energies.dtype} of shape {energies.shape}; reshape it to (labels, pixels)"
            )
        if not np.isfinite(energies).all():
            raise DataError("the unary holds NaN or infinite values; clip probabilities before the logarithm")
        self._unary = np.array(energies, np.float32, order="C")

    def addPairwiseEnergy(  # noqa: N802
        self,
        features: Floats,
        compat: ArrayLike,
        kernel: int = DIAG_KERNEL,
        normalization: int = NORMALIZE_SYMMETRIC,
    ) -> None:
        """Add a Gaussian term over explicit features.

        Args:
            features: float (D, N), divided by their deviations.
            compat: Potts weight, float (K,), or float (K, K).
            kernel: `CONST_KERNEL`, `DIAG_KERNEL` or `FULL_KERNEL`; they agree in inference.
            normalization: one of the four normalisations.

        Raises:
            DataError: wrong arrays.
            ConfigError: unknown kernel or normalisation.
        """
        points = np.asarray(features)
        if points.dtype.kind != "f" or points.ndim != 2 or points.shape[1] != self._count or not len(points):
            raise DataError(
                f"features must be float32 of shape (D, {self._count}), not {points.dtype} of shape {points.shape}"
            )
        points = points.astype(np.float32)
        self._terms.append(PairwiseTerm(points, compat, kernel, normalization, self._labels))

    def inference(self, niter: int) -> Floats:
        """Marginals, float32 (K, N), after `niter` updates."""
        marginals, first, second = self.startInference()
        for _ in range(checks.count("niter", niter, least=0)):
            self.stepInference(marginals, first, second)
        return marginals

    def startInference(self) -> tuple[Floats, Floats, Floats]:  # noqa: N802
        """Marginals of the unary alone, float32 (K, N), and two work arrays for `stepInference`."""
        empty = np.empty((0, 0), np.float32)
        return _softmax(-self._energies()), empty, empty.copy()

    def stepInference(self, q: Floats, tmp1: Floats, tmp2: Floats) -> None:  # noqa: N802
        """Update the marginals `q`, float32 (K, N), in place; the other two are not used."""
        marginals = self._checked_marginals(q)
        logits = -self._energies()
        for term in self._terms:
            logits -= term.energies(marginals)
        q[...] = _softmax(logits)

    def klDivergence(self, q: Floats) -> float:  # noqa: N802
        """Kullback-Leibler divergence of the marginals `q` from the model, up to a constant."""
        marginals = self._checked_marginals(q)
        kl = marginals * np.log(np.maximum(marginals, _LEAST_KL)) + marginals * self._energies()
        for term in self._terms:
            kl += marginals * term.energies(marginals)
        return float(kl.sum(dtype=np.float64))

    def _energies(self) -> Floats:
        if self._unary is None:
            raise DataError("the unary is not set; call setUnaryEnergy first")
        return self._unary

    def _checked_marginals(self, q: Floats) -> Floats:
        if not isinstance(q, np.ndarray) or q.shape != (self._labels, self._count) or q.dtype != np.float32:
            raise DataError(f"Q must be a float32 array of shape ({self._labels}, {self._count})")
        return q


class DenseCRF2D(DenseCRF):
    """A fully connected CRF over the pixels of an image; pixel (y, x) is the point y * w + x."""

    def __init__(self, w: int, h: int, nlabels: int) -> None:
        """Make a CRF for images `w` wide and `h` high with `nlabels` classes."""
        self._width = checks.count("w", w, least=1)
        self._height = checks.count("h", h, least=1)
        super().__init__(self._width * self._height, nlabels)
        self._near: list[tuple[PairwiseTerm, tuple[float, ...]]] = []
        self._far: list[tuple[PairwiseTerm, tuple[float, ...], NDArray[np.uint8]]] = []

    def addPairwiseGaussian(  # noqa: N802
        self,
        sxy: float | Sequence[float],
        compat: ArrayLike,
        kernel: int = DIAG_KERNEL,
        normalization: int = NORMALIZE_SYMMETRIC,
    ) -> None:
        """Add a term over positions.

        Args:
            sxy: deviation in pixels, or (x, y).
            compat, kernel, normalization: as in `addPairwiseEnergy`.
        """
        sigma = deviations("sxy", sxy, 2)
        self.addPairwiseEnergy(self._positions(sigma), compat, kernel, normalization)
        self._near.append((self._terms[-1], sigma))

    def addPairwiseBilateral(  # noqa: N802
        self,
        sxy: float | Sequence[float],
        srgb: float | Sequence[float],
        rgbim: NDArray[np.uint8],
        compat: ArrayLike,
        kernel: int = DIAG_KERNEL,
        normalization: int = NORMALIZE_SYMMETRIC,
    ) -> None:
        """Add a term over positions and colours.

        Args:
            sxy: deviation in pixels, or (x, y).
            srgb: deviation in grey levels 0..255, or one for each colour.
            rgbim: uint8 (H, W, 3).
            compat, kernel, normalization: as in `addPairwiseEnergy`.
        """
        sigma = (*deviations("sxy", sxy, 2), *deviations("srgb", srgb, 3))
        image = checks.checked_image(rgbim).copy()
        if image.shape[:2] != (self._height, self._width):
            raise DataError(
                f"rgbim is {image.shape[0]} high and {image.shape[1]} wide, "
                f"the CRF {self._height} high and {self._width} wide"
            )
        colours = image.reshape(-1, 3).T.astype(np.float32) / np.array(sigma[2:], np.float32)[:, None]
        features = np.concatenate([self._positions(sigma[:2]), colours])
        self.addPairwiseEnergy(features, compat, kernel, normalization)
        self._far.append((self._terms[-1], sigma, image))

    def inference(self, niter: int) -> Floats:
        """Marginals, float32 (K, H * W), after `niter` updates."""
        niter = checks.count("niter", niter, least=0)
        if not self._fits_fast_kernels():
            return super().inference(niter)
        near_weight = far_weight = 0.0
        near_sigma: tuple[float, ...] = (1.0, 1.0)
        far_sigma: tuple[float, ...] = (_HUGE,) * 5
        image = np.zeros((self._height, self._width, 3), np.uint8)
        if self._near:
            near, near_sigma = self._near[0]
            near_weight = near.compatibility.potts or 0.0
        if self._far:
            far, far_sigma, image = self._far[0]
            far_weight = far.compatibility.potts or 0.0
        sigma = Deviations((near_sigma[0], near_sigma[1]), _five(far_sigma))
        marginals = mean_field(
            Lattice.from_deviations(image, sigma),
            -self._energies().reshape(self._labels, self._height, self._width),
            np.arange(self._labels),
            0.0,
            iterations=niter,
            near_weight=near_weight,
            far_weight=far_weight,
        )
        return marginals.reshape(self._labels, -1)

    def _fits_fast_kernels(self) -> bool:
        """At most one term of each kind, both Potts with a weight of at least 0, and symmetric."""
        plain = all(
            term.compatibility.potts is not None
            and term.compatibility.potts >= 0
            and term.normalization == NORMALIZE_SYMMETRIC
            for term in self._terms
        )
        known = len(self._terms) == len(self._near) + len(self._far)
        return plain and known and len(self._near) <= 1 and len(self._far) <= 1 and self._labels > 1

    def _positions(self, sigma: Sequence[float]) -> Floats:
        y, x = np.divmod(np.arange(self._count), self._width)
        return np.stack([x / sigma[0], y / sigma[1]]).astype(np.float32)


def _softmax(logits: Floats) -> Floats:
    odds = np.exp(logits - logits.max(axis=0))
    return np.asarray(odds / odds.sum(axis=0), dtype=np.float32)


def _five(values: Sequence[float]) -> tuple[float, float, float, float, float]:
    a, b, c, d, e = values
    return a, b, c, d, e
