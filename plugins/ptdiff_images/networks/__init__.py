"""Networks of images: U-Nets, transformers, and the parts they are made of."""
