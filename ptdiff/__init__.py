"""ptdiff: diffusion models on 3-D point clouds and every other kind of data.

Five nouns: Process (:mod:`ptdiff.process`), Denoiser (:mod:`ptdiff.denoiser`), Solver (:mod:`ptdiff.solvers`),
Modality (:mod:`ptdiff.modality`) and Run (:mod:`ptdiff.run`).  Importing this package imports nothing heavy.
"""

__version__ = "0.1.0"
