"""Distance of the samples of stage 1's prior alone: the single stage of Heek et al. 2026, Appendix B."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from ulzoo.metrics.pca_frechet import PCAFrechetFields

if TYPE_CHECKING:
    from ulzoo.interfaces import DataIO
    from ulzoo.metrics.base import Metric


class PriorPCAFrechetConfig(PCAFrechetFields):
    """Fréchet distance between samples of stage 1's prior, without a base model, and real images on principal
    components fitted to training images. Source: Heek et al. 2026, Appendix B."""

    type: Literal["ulzoo.prior_pca_frechet.v1"] = "ulzoo.prior_pca_frechet.v1"
    stage: ClassVar[int] = 1
    samples_prior: ClassVar[bool] = True

    def build(self, io: DataIO | None = None, *, key: object = None) -> Metric:
        """A function of an evaluation to one record.

        Raises:
            InterfaceError: more components than an image has values.
        """
        from ulzoo.metrics.pca_frechet import samples_measure

        self.check(io)
        return samples_measure(self, "prior_pca_frechet")
