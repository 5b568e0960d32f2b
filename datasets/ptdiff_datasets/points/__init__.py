"""Points in the plane and rows of numbers.

toys.py            toy distributions by name
formulas.py        their formulas
image_density.py   an image as a distribution
"""
