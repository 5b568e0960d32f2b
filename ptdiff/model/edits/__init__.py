"""Edit samples: make variations, interpolate, complete and upsample.

Each function takes a :class:`ptdiff.model.Model` and samples in world units, and returns :class:`Samples`.  Samples are
given as a path, Samples, or a tensor or array (n, *shape); a user's file of one sample keeps its own units.  The
functions of :mod:`ptdiff.sampling.editing` do the same for tensors in model units, with any denoiser.

variations.py       edit: add noise and denoise again
completion.py       complete and upsample: samples that begin with the given points
interpolation.py    interpolate: between the noises of two samples
work.py             given samples, and what all of them share: batches, messages, results
"""

from ptdiff.model.edits.completion import COMPLETING, check_sets, complete, upsample
from ptdiff.model.edits.interpolation import check_way_back, interpolate
from ptdiff.model.edits.variations import edit
from ptdiff.model.edits.work import Given

__all__ = ["COMPLETING", "Given", "check_sets", "check_way_back", "complete", "edit", "interpolate", "upsample"]
