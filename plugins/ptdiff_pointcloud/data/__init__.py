"""Data of the point cloud modality: sources, channels, augmentation, conditions."""
