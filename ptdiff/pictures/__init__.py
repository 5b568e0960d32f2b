"""Images and plots: files, contact sheets, pages and the style of plots.

files.py   image files, animations and contact sheets
media.py   sound and film on HTML pages
page.py    several images on one page
plot.py    matplotlib plots as images
"""
