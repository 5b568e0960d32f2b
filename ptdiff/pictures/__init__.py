"""Pictures: pixels to files, sheets and plots.

files.py   PNG, GIF and MP4
page.py    several pictures on one page
plot.py    the style of matplotlib plots
"""
