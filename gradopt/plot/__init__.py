"""Plots of runs, problems and schedules with matplotlib, which is imported at the first plot.

history    objective, gradient norm and rate of runs
path       the path of runs over one or two parameters
landscape  the objective along two directions, for any number of parameters
fit        data and model, at several moments of a run
animate    runs in motion: balls over the objective, or a fit that approaches its data
schedule   the rates of a schedule
maps       parameters, errors and statuses of many fits over an image
profile    the profile of a parameter beside the parabola of the curvature
contour    a confidence region of two parameters beside its ellipse
corner     all pairs of parameters

plt.style.use("gradopt.plot.style") gives the same colours to pictures of one's own.
"""

from gradopt.plot.animation import animate
from gradopt.plot.curves import fit, history, schedule
from gradopt.plot.maps import maps
from gradopt.plot.planes import landscape, path
from gradopt.plot.profiles import contour, corner, profile

__all__ = ["animate", "contour", "corner", "fit", "history", "landscape", "maps", "path", "profile", "schedule"]
