"""Data of the image modality: sources, videos, augmentation."""
