"""Images as the modality reads them: sources, films, augmentation."""
