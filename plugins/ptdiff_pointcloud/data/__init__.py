"""Data of the point cloud modality: sources, channels, augmentation, conditions.

sources.py      procedural shapes, or a folder
channels.py     normals and colors of points
augment.py      rotations, mirrors, scales, jitter
conditions.py   clouds to complete or to make denser
progress.py     a progress bar while a folder is read
"""
