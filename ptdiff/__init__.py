"""ptdiff: diffusion models on 3-D point clouds and every other kind of data.

Five nouns: Process (:mod:`ptdiff.process`), Denoiser (:mod:`ptdiff.denoiser.network`), Solver (:mod:`ptdiff.solvers`),
Modality (:mod:`ptdiff.modality.contract`) and Run (:mod:`ptdiff.run.folder`).  Importing this package imports nothing
heavy.
"""

__version__ = "0.2.0"
