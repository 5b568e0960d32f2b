"""Metrics of images: Fréchet and kernel distances of features, precision and recall.

protocols.py           protocols by name: how two sets are compared
feature_distances.py   Frechet and kernel distances, precision and recall
classifier.py          features of a classifier trained on the data
lenet.py               that classifier
inception.py           features of Inception
"""
