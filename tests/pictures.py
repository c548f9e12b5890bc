"""The faults in the structure of a picture, and a backend of matplotlib that saves no picture with one."""

import re
from itertools import combinations

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.legend import Legend

MOST_LINES = 6
DEFAULT_COLOURS = {to_hex(colour) for colour in mpl.color_sequences["tab10"]}  # red beside green


class FigureCanvas(FigureCanvasAgg):
    """A canvas for MPLBACKEND=module://pictures."""

    def print_figure(self, *args, **kwargs):
        found = faults(self.figure)
        assert not found, "\n".join(found)
        return super().print_figure(*args, **kwargs)


def faults(figure):
    """A sentence for each fault."""
    figure.draw_without_rendering()
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>" and axes.get_visible()]
    legends = figure.findobj(Legend)
    outer = [legend for legend in legends if legend.axes is None]
    drawn = [axes for axes in panels if axes.axison or axes.has_data()]
    found = [f"{name_of(axes)}: {fault}" for axes in drawn for fault in faults_of(axes, legends)]
    for legend in outer:
        box = legend.get_window_extent()
        found += [f"a legend lies over {name_of(axes)}" for axes in drawn if axes.get_window_extent().overlaps(box)]
    colours = {}
    for axes in drawn:
        for line in named(axes.get_lines()):
            first = colours.setdefault(line.get_label(), to_hex(line.get_color()))
            if first != to_hex(line.get_color()):
                found.append(f"{name_of(axes)}: {line.get_label()!r} has another colour than in another panel")
    return found


def name_of(axes):
    return f"the panel {axes.get_title() or axes.get_ylabel()!r}"


def named(artists):
    return [artist for artist in artists if not (artist.get_label() or "_").startswith("_")]


def is_curve(line):
    return line.get_linestyle() != "None" and len(line.get_xdata()) > 2


def says_what_it_is(axis):
    """Whether an axis has a label, or names at its ticks."""
    ticks = [tick.get_text() for tick in axis.get_ticklabels()]
    return axis.get_label_text() or (ticks and all(re.search(r"^[^$]*[A-Za-z]", text) for text in ticks))


def faults_of(axes, legends):
    """A sentence for each fault of one panel."""
    if (axes.images and axes.get_xticks().size == axes.get_yticks().size == 0) or not axes.axison:
        if not axes.get_title():
            yield "an image without a title"
    else:
        for side in "xy":
            shared = getattr(axes, f"get_shared_{side}_axes")().get_siblings(axes)
            if not any(says_what_it_is(getattr(other, f"{side}axis")) for other in shared):
                yield f"no label on the {side} axis"
    lines = axes.get_lines()
    curves = [line for line in lines if is_curve(line)]
    if len(curves) > MOST_LINES:
        yield f"{len(curves)} lines"
    if len(curves) > 1 and len(named(curves)) < len(curves):
        yield "lines without a name"
    for one, other in combinations(named(curves), 2):
        if look_of(one) == look_of(other):
            yield f"{one.get_label()!r} looks like {other.get_label()!r}"
    if any(to_hex(line.get_color()) in DEFAULT_COLOURS for line in lines):
        yield "colours of the default style"
    own = axes.get_legend()
    shown = {text.get_text() for legend in ([own] if own else legends) for text in legend.get_texts()}
    wanted = set(axes.get_legend_handles_labels()[1])
    if len(wanted) > 1 and not wanted <= shown:
        yield f"no legend names {', '.join(sorted(wanted - shown))}"
    if own and (hidden := hidden_by(own, axes)):
        yield f"the legend hides {hidden}"


def look_of(line):
    return to_hex(line.get_color()), line.get_linestyle(), line.get_marker()


def hidden_by(legend, axes):
    """What lies below a legend: a line, a point, a bar, or a text; "" if nothing does."""
    box = legend.get_window_extent()
    for line in axes.get_lines():
        path = line.get_transform().transform_path(line.get_path()).cleaned(remove_nans=True)
        points = path.vertices[:-1]  # the last one ends the path
        inside = (points >= box.min).all(axis=1) & (points <= box.max).all(axis=1)
        if inside.any() or (line.get_linestyle() != "None" and path.intersects_bbox(box, filled=False)):
            return f"the line {line.get_label()!r}"
    for patch in axes.patches:
        if patch.get_path().transformed(patch.get_transform()).intersects_bbox(box):
            return "a bar"
    for points in axes.collections:
        where = points.get_offset_transform().transform(np.ma.filled(points.get_offsets(), np.nan))
        if len(where) > 1 and ((where >= box.min) & (where <= box.max)).all(axis=1).any():
            return "points"
    return "a text" if any(text.get_window_extent().overlaps(box) for text in axes.texts) else ""
