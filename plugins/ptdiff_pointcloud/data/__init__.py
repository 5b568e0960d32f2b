"""Clouds as the modality reads them: sources, channels, augmentation, conditions."""
