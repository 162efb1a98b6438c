"""Drop-in replacement for `pydensecrf.densecrf`, with its names and its order of width before height.

The usual case, at most one Gaussian and one bilateral term with Potts compatibility and symmetric normalisation,
runs on the optimised kernels of `dense_crf`; everything else runs on `GeneralLattice`. Results are NumPy arrays.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tag2mask.crf import checks
from tag2mask.crf.errors import ArrayError, ParameterError, TooFineError
from tag2mask.crf.features import bilateral_features, position_features
from tag2mask.crf.general import NormalizationType
from tag2mask.crf.lattice import Deviations, Lattice
from tag2mask.crf.mean_field import mean_field
from tag2mask.crf.pairwise import KernelType, PairwiseTerm, deviations
from tag2mask.crf.terms import Packed, TermSet

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
]

_LEAST_KL = np.float32(1e-20)
_HUGE = 1e6
_UNDERFLOW = 110.0
"""exp(-110) is 0 in float32."""

_LEAST = 1e-30
"""Marginals to start from are clipped to at least this."""

_log = logging.getLogger(__name__)


class Unary:
    """Base of the unary objects that `DenseCRF.setUnary` takes."""


class ConstUnary(Unary):
    """A unary given as energies."""

    def __init__(self, u: Floats) -> None:
        """Store the energies `u`, float32 (K, N): negative log-probabilities."""
        self.energies = u


class LogisticUnary(Unary):
    """A unary with learned parameters; not supported."""

    def __init__(self, *args: Any) -> None:
        raise ParameterError("LogisticUnary is for learning, which this package does not support; use ConstUnary")


class DenseCRF:
    """A fully connected CRF over N points with K classes.

    Mean field starts from Q = softmax(-unary) and repeats Q = softmax(-unary - sum of the terms' energies), as in
    P. Kraehenbuehl, V. Koltun, NIPS 2011, https://doi.org/10.48550/arXiv.1210.5644.

    Example:
        Two features per point; the last point lies with the first two, and takes over their class.

        >>> import numpy as np
        >>> from tag2mask.crf.pydensecrf.densecrf import DenseCRF
        >>> from tag2mask.crf.pydensecrf.utils import unary_from_softmax
        >>> probs = np.array([[0.8, 0.8, 0.1, 0.1, 0.4], [0.2, 0.2, 0.9, 0.9, 0.6]], np.float32)
        >>> crf = DenseCRF(5, 2)
        >>> crf.setUnaryEnergy(unary_from_softmax(probs))
        >>> crf.addPairwiseEnergy(np.array([[0, 0, 9, 9, 0], [0, 0, 9, 9, 0]], np.float32), compat=3)
        >>> crf.inference(5).argmax(axis=0)
        array([0, 0, 1, 1, 0])
    """

    def __init__(self, nvar: int, nlabels: int) -> None:
        """Create a CRF over `nvar` points with `nlabels` classes, each at least 1."""
        self._count = checks.count("nvar", nvar, least=1)
        self._labels = checks.count("nlabels", nlabels, least=1)
        self._unary: Floats | None = None
        self._infinite: NDArray[np.bool_] | None = None
        self._terms: list[PairwiseTerm] = []
        self._model: TermSet | None = None
        self._packed: Packed | None = None

    def setUnary(self, u: Unary) -> None:  # noqa: N802 (pydensecrf's name)
        """Set the unary from a `ConstUnary`; errors as `setUnaryEnergy`."""
        if not isinstance(u, ConstUnary):
            raise ArrayError(f"setUnary takes a ConstUnary, not {type(u).__name__}; use setUnaryEnergy for an array")
        self.setUnaryEnergy(u.energies)

    def setUnaryEnergy(self, u: Floats, f: Any = None) -> None:  # noqa: N802
        """Set the unary.

        Args:
            u: float32 (K, N), negative log-probabilities. A class with infinite energy (-log 0) at a point stays
                impossible there. A point at which all energies are infinite has no information: its classes count
                as equally likely, and a warning is logged (pydensecrf gives NaN for all points then).
            f: features of a learned unary; not supported.

        Raises:
            ArrayError: `u` has another type or shape, or holds NaN or -infinity.
            ParameterError: `f` is given.
        """
        if f is not None:
            raise ParameterError("`f` is for learning, which this package does not support; leave it out")
        energies = np.asarray(u)
        if energies.dtype.kind != "f" or energies.shape != (self._labels, self._count):
            raise ArrayError(
                f"the unary `u` must be float32 of shape ({self._labels}, {self._count}), "
                f"not {energies.dtype} of shape {energies.shape}; reshape it to (labels, pixels)"
            )
        with np.errstate(over="ignore"):  # beyond float32 is infinite
            energies = np.array(energies, np.float32, order="C")
        self._infinite = None if np.isfinite(energies).all() else self._checked_infinite(energies)
        self._unary, self._packed = energies, None

    def _checked_infinite(self, energies: Floats) -> NDArray[np.bool_]:
        """Where a class is impossible, bool (K, N); points without any possible class are set to 0 in place."""
        infinite = np.isposinf(energies)
        if not (infinite | np.isfinite(energies)).all():
            raise ArrayError("the unary `u` holds NaN or -infinity; it is -log of probabilities between 0 and 1")
        impossible = infinite.all(axis=0)
        if impossible.any():
            energies[:, impossible] = 0
            infinite[:, impossible] = False
            _log.warning(
                "every class has infinite energy at %d of %d points; their classes count as equally likely",
                impossible.sum(),
                self._count,
            )
        return infinite

    def addPairwiseEnergy(  # noqa: N802
        self,
        features: Floats,
        compat: ArrayLike,
        kernel: int = DIAG_KERNEL,
        normalization: int = NORMALIZE_SYMMETRIC,
    ) -> None:
        """Add a pairwise term with explicit features and the kernel exp(-|f_i - f_j|^2 / 2).

        Args:
            features: float32 (D, N), divided by their standard deviations.
            compat: label compatibility. A number is a Potts weight; float32 (K,) are weights of each class and
                float32 (K, K) is a matrix, both added to the energy (negative values favour equal classes).
            kernel: `CONST_KERNEL`, `DIAG_KERNEL` or `FULL_KERNEL`; they give the same results without learning.
            normalization: `NO_NORMALIZATION`, `NORMALIZE_BEFORE`, `NORMALIZE_AFTER` or `NORMALIZE_SYMMETRIC`.

        Raises:
            ArrayError: `features` or `compat` has a wrong type or shape.
            ParameterError: `kernel` or `normalization` is unknown.
        """
        points = np.asarray(features)
        if points.dtype.kind != "f" or points.ndim != 2 or points.shape[1] != self._count or not len(points):
            raise ArrayError(
                f"`features` must be float32 of shape (D, {self._count}), not {points.dtype} of shape {points.shape}"
            )
        points = points.astype(np.float32)
        self._add(lambda: points, compat, kernel, normalization)

    def _add(self, features: Callable[[], Floats], compat: ArrayLike, kernel: int, normalization: int) -> None:
        self._terms.append(PairwiseTerm(features, compat, kernel, normalization, self._labels))
        self._model = self._packed = None

    def inference(self, niter: int) -> Floats:
        """Return the marginals, float32 (K, N), after `niter` mean-field updates."""
        return self._infer(checks.count("niter", niter, least=0), None)

    def _infer(self, iterations: int, start: Floats | None, out: Floats | None = None) -> Floats:
        """Run mean-field updates from the marginals `start`, float32 (K, N), or from those of the unary, into `out`."""
        energies, infinite = self._energies(), self._infinite
        if self._labels == 1:
            out = np.empty_like(energies) if out is None else out
            out.fill(1)
            return out
        if self._model is None:
            self._model = TermSet(self._terms, self._labels, self._count)
        model = self._model
        if self._packed is None:
            if infinite is not None:
                energies = finite_energies(energies, infinite, model.reach)
            self._packed = model.pack(-energies)
        packed = None if start is None else model.pack(start, _LEAST)
        marginals = model.infer(self._packed, iterations, start=packed, out=out)
        if infinite is not None:
            marginals[infinite] = 0
        return marginals

    def startInference(self) -> tuple[Floats, Floats, Floats]:  # noqa: N802
        """Return the marginals of the unary alone, float32 (K, N), and two arrays to pass to `stepInference`."""
        empty = np.empty((0, 0), np.float32)
        return self._infer(0, None), empty, empty.copy()

    def stepInference(self, q: Floats, tmp1: Floats, tmp2: Floats) -> None:  # noqa: N802
        """Update the marginals `q`, float32 (K, N), in place; `tmp1` and `tmp2` are not used."""
        marginals = self._checked_marginals(q)
        if marginals.flags.c_contiguous:
            self._infer(1, marginals, marginals)
        else:
            q[...] = self._infer(1, np.ascontiguousarray(marginals))

    def klDivergence(self, q: Floats) -> float:  # noqa: N802
        """Return the Kullback-Leibler divergence of `q`, float32 (K, N), from the model, up to a constant."""
        marginals = self._checked_marginals(q)
        energies = np.where(marginals > 0, self._energies(), 0)  # 0 times infinity is 0 here
        kl = marginals * np.log(np.maximum(marginals, _LEAST_KL)) + marginals * energies
        for term in self._terms:
            kl += marginals * term.energies(marginals)
        return float(kl.sum(dtype=np.float64))

    def _energies(self) -> Floats:
        if self._unary is None:
            raise ArrayError("the unary is not set; call setUnaryEnergy first")
        return self._unary

    def _checked_marginals(self, q: Floats) -> Floats:
        if not isinstance(q, np.ndarray) or q.shape != (self._labels, self._count) or q.dtype != np.float32:
            raise ArrayError(f"`q` must be a float32 array of shape ({self._labels}, {self._count})")
        return q


class DenseCRF2D(DenseCRF):
    """A fully connected CRF over the pixels of an image; pixel (y, x) is the point y * w + x.

    Example:
        >>> import numpy as np
        >>> import tag2mask.crf.pydensecrf.densecrf as dcrf
        >>> from tag2mask.crf.pydensecrf.utils import unary_from_softmax
        >>> image = np.zeros((4, 6, 3), np.uint8)
        >>> image[:, 3:] = 200
        >>> probs = np.empty((2, 4, 6), np.float32)
        >>> probs[1] = [0.2, 0.2, 0.2, 0.4, 0.8, 0.8]
        >>> probs[0] = 1 - probs[1]
        >>> crf = dcrf.DenseCRF2D(6, 4, 2)
        >>> crf.setUnaryEnergy(unary_from_softmax(probs))
        >>> crf.addPairwiseGaussian(sxy=3, compat=3)
        >>> crf.addPairwiseBilateral(sxy=50, srgb=10, rgbim=image, compat=5)
        >>> np.argmax(crf.inference(10), axis=0).reshape(4, 6)[0]
        array([0, 0, 0, 1, 1, 1])
    """

    def __init__(self, w: int, h: int, nlabels: int) -> None:
        """Create a CRF for images `w` pixels wide and `h` pixels high with `nlabels` classes."""
        self._width = checks.count("w", w, least=1)
        self._height = checks.count("h", h, least=1)
        super().__init__(self._width * self._height, nlabels)
        self._gaussian: list[tuple[PairwiseTerm, tuple[float, ...]]] = []
        self._bilateral: list[tuple[PairwiseTerm, tuple[float, ...], NDArray[np.uint8]]] = []

    def addPairwiseGaussian(  # noqa: N802
        self,
        sxy: float | Sequence[float],
        compat: ArrayLike,
        kernel: int = DIAG_KERNEL,
        normalization: int = NORMALIZE_SYMMETRIC,
    ) -> None:
        """Add a Gaussian term over pixel positions.

        Args:
            sxy: standard deviation in pixels, above 0, or one each for (x, y).
            compat: label compatibility, as in `addPairwiseEnergy`.
            kernel: as in `addPairwiseEnergy`.
            normalization: as in `addPairwiseEnergy`.

        Raises:
            ArrayError: `compat` has a wrong type or shape.
            ParameterError: `sxy` is not positive, or `kernel` or `normalization` is unknown.
        """
        sigma = deviations("sxy", sxy, 2)
        self._add(lambda: position_features((self._height, self._width), sigma), compat, kernel, normalization)
        self._gaussian.append((self._terms[-1], sigma))

    def addPairwiseBilateral(  # noqa: N802
        self,
        sxy: float | Sequence[float],
        srgb: float | Sequence[float],
        rgbim: NDArray[np.uint8],
        compat: ArrayLike,
        kernel: int = DIAG_KERNEL,
        normalization: int = NORMALIZE_SYMMETRIC,
    ) -> None:
        """Add a bilateral term over pixel positions and colours.

        Args:
            sxy: standard deviation in pixels, above 0, or one each for (x, y).
            srgb: standard deviation in grey levels 0..255, above 0, or one for each channel.
            rgbim: uint8 (H, W, 3), RGB, 0..255.
            compat: label compatibility, as in `addPairwiseEnergy`.
            kernel: as in `addPairwiseEnergy`.
            normalization: as in `addPairwiseEnergy`.

        Raises:
            ArrayError: `rgbim` or `compat` has a wrong type or shape.
            ParameterError: `sxy` or `srgb` is not positive, or `kernel` or `normalization` is unknown.
        """
        sigma = (*deviations("sxy", sxy, 2), *deviations("srgb", srgb, 3))
        image = checks.checked_image(rgbim).copy()
        if image.shape[:2] != (self._height, self._width):
            raise ArrayError(
                f"`rgbim` is {image.shape[0]} high and {image.shape[1]} wide, "
                f"the CRF {self._height} high and {self._width} wide"
            )
        self._add(lambda: bilateral_features(image, sigma), compat, kernel, normalization)
        self._bilateral.append((self._terms[-1], sigma, image))

    def inference(self, niter: int) -> Floats:
        """Return the marginals, float32 (K, H * W), after `niter` mean-field updates."""
        niter = checks.count("niter", niter, least=0)
        if not self._fits_fast_kernels():
            return super().inference(niter)
        gaussian_weight = bilateral_weight = 0.0
        gaussian_sigma: tuple[float, ...] = (1.0, 1.0)
        bilateral_sigma: tuple[float, ...] = (_HUGE,) * 5
        image = np.zeros((self._height, self._width, 3), np.uint8)
        if self._gaussian:
            gaussian, gaussian_sigma = self._gaussian[0]
            gaussian_weight = gaussian.compatibility.potts or 0.0
        if self._bilateral:
            bilateral, bilateral_sigma, image = self._bilateral[0]
            bilateral_weight = bilateral.compatibility.potts or 0.0
        sigma = Deviations((gaussian_sigma[0], gaussian_sigma[1]), _five(bilateral_sigma))
        try:
            lattice = Lattice.from_deviations(image, sigma)
        except TooFineError:
            return super().inference(niter)
        reach = gaussian_weight * lattice.gaussian_sum.max() + bilateral_weight * lattice.bilateral_sum.max()
        energies, infinite = self._energies(), self._infinite
        if infinite is not None:
            energies = finite_energies(energies, infinite, float(reach))
        marginals = mean_field(
            lattice,
            -energies.reshape(self._labels, self._height, self._width),
            np.arange(self._labels),
            0.0,
            iterations=niter,
            gaussian_weight=gaussian_weight,
            bilateral_weight=bilateral_weight,
        ).reshape(self._labels, -1)
        if infinite is not None:
            marginals[infinite] = 0
        return marginals

    def _fits_fast_kernels(self) -> bool:
        """Whether each kind of term occurs at most once, with a Potts weight >= 0 and symmetric normalisation."""
        plain = all(
            term.compatibility.potts is not None
            and term.compatibility.potts >= 0
            and term.normalization == NORMALIZE_SYMMETRIC
            for term in self._terms
        )
        known = len(self._terms) == len(self._gaussian) + len(self._bilateral)
        return plain and known and len(self._gaussian) <= 1 and len(self._bilateral) <= 1 and self._labels > 1


def finite_energies(energies: Floats, infinite: NDArray[np.bool_], reach: float) -> Floats:
    """Energies with which a class of infinite energy keeps a marginal that float32 does not tell from 0.

    Args:
        energies: float32 (K, N), finite or +infinity, of each column at least one finite.
        infinite: bool (K, N), where they are not finite.
        reach: the most that the pairwise terms can take from an energy.
    """
    lowest = energies.min(axis=0)
    spread = np.where(infinite, 0, energies).max(axis=0) - lowest
    return np.where(infinite, lowest + max(0.0, float(spread.max())) + reach + _UNDERFLOW, energies).astype(np.float32)


def _five(values: Sequence[float]) -> tuple[float, float, float, float, float]:
    a, b, c, d, e = values
    return a, b, c, d, e
