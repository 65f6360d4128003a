"""The figures of the experiments: every value in sight, at the number of samples it belongs to."""
import numpy as np
import pytest

from npvae import plotting
from npvae.plotting import Trace

pytest.importorskip("matplotlib")


def panel(*traces):
    return plotting.experiment({"a panel": traces}, "lower bound").axes[0]


def curves(ax):
    """Ours: the training's, and the test's; the rest is the edge of the scale, and the legend's."""
    return [line for line in ax.lines if line.get_linewidth() == 1.4 and len(line.get_xdata())]


def circles(ax):
    """x and y of the paper's values, and whether they are of training data."""
    drawn = [c for c in ax.collections if len(c.get_offsets()) and c.get_offsets()[0][0] > 0]
    return [(*map(float, c.get_offsets()[0]), c.get_facecolors()[0].min() < 1) for c in drawn]


def test_values_after_as_many_samples_stand_at_them():
    samples, published = [1e5, 1e6, 1e7], {2e6: (-2, -3), 1e7: (-5, None)}
    ax = panel(Trace("AEVB", samples, [-3, -2, -1], [-4, -3, None], published))
    training, test = curves(ax)
    np.testing.assert_array_equal(training.get_xydata(), np.c_[samples, [-3, -2, -1]])
    np.testing.assert_array_equal(test.get_xydata(), [(1e5, -4), (1e6, -3)])
    found = sorted(circles(ax), key=lambda circle: -circle[1])
    expected = [(2e6, -2, True), (2e6, -3, False), (1e7, -5, True)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)  # through a logarithm and back
    left, right = ax.get_xlim()
    assert left < 1e5 and 1e7 < right < 2e7


def test_values_of_several_algorithms_do_not_hide_one_another():
    """The paper's of figure 3 are alike for two of them, and far beyond a short training."""
    for ours in (1e6, 6e7):
        traces = [Trace(name, [1e5, ours], [-150, -120], [-160, -140], {6e7: (-109, -143)})
                  for name in ("AEVB", "Wake-Sleep", "Monte Carlo EM")]
        ax = panel(*traces)
        found, (left, right) = circles(ax), ax.get_xlim()
        assert len({x for x, y, _ in found if y == -109}) == 3
        assert all(left < x < right for x, _, _ in found)
        notes = [text.get_text() for text in ax.texts]
        assert (len(notes) == 1 and "6" in notes[0] and "10^{7}" in notes[0]) == (ours == 1e6)


@pytest.mark.parametrize("ours", [[5e4], [1e5, 1e6], [1.6e3 * i for i in range(1, 99)]])
def test_a_panel_is_filled_by_what_it_shows(ours):
    n = len(ours)
    values = list(np.linspace(-150, -130, n) if n > 1 else [-150.0])
    ax = panel(Trace("AEVB", ours, values, values, {2.5e8: (-125, None)}))
    bottom, top = ax.get_ylim()
    (line, _), (left, right) = curves(ax), np.log10(ax.get_xlim())
    curve = np.log10(line.get_xdata())
    assert n == 1 or np.ptp(curve[curve >= left]) > 0.7 * (right - left)
    assert 0.75 * (top - bottom) < 25  # nats from the lowest to the highest value
    assert [t for t in ax.get_xticks() if ax.get_xlim()[0] < t < ours[-1] * 1.01]
    assert (line.get_marker() == "s") == (n == 1)  # a point, where there is no line
    texts = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert ("one point so far" in texts) == (n == 1)
