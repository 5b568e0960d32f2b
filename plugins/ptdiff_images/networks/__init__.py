"""Image networks: U-Nets, transformers, and their parts.

catalog.py     networks and sizes by name
options.py     the names that their options take
unet.py        the U-Net
block.py       its residual block
resample.py    half the size and back
pyramid.py     the image at every resolution of a U-Net
style.py       norms, activations, kernels, edges, dropout
attention.py   attention of pixels
inputs.py      embeddings of level, class and augmentation; padding
dit.py         a transformer over patches
basic.py       the smallest U-Net
video.py       films through a network of images
"""
