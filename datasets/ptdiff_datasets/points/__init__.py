"""Points in the plane and rows of numbers.

toys.py            distributions by name
formulas.py        their formulas
tabular.py         tables in CSV files
image_density.py   a picture as a distribution
"""
