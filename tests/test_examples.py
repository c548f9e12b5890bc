"""The examples run, print what they should and write their picture, which has no faults."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from marks import compiled_only

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"

PRINTED = {
    "rosenbrock": ["x = (1.0088382, 1.0213919)  y = 9.134450e-05", "1.852378e-01", "6.606021e-06"],
    "quadratic_fit": ["loss by step: 511.0 325.1", "loss 0.430121"],
    "one_dimension": ["two wells, momentum 0.9: through   x = -1.024"],
    "training_loop": ["same bits: True"],
    "digits": ["2410 weights, 1350 updates", "held-out rows: 97"],
    "by_hand": ["by hand 0.3130100835", "by SGD 0.3130100835", "the same weights, to rounding: True"],
    "shape_classifier": [
        "new outputs: [0.43 1.   1.3 ]  losses: [0.09245 0.      0.045  ]",
        "one sample at a time: True",
        "classes at threshold 0.5: [0 1 1]",
    ],
    "sgd_variants": ["batches of 32, momentum 0.9  0.02"],
    "basins": ["momentum 0.9, rate 0.004      98.7% arrived,  1.3% diverged"],
    "methods_race": ["valley  Rprop            loss  5.18e-09 after 1500 updates", "digits  Lion"],
    "schedules": ["OneCycle             loss 0.0"],
    "own_function": [
        "gradopt, no gradient           energy -3.435912",
        "scipy's L-BFGS-B, gradient     energy -3.435912",
    ],
    "curve_fit": [
        "Huber                       [2.023 0.257 3.005 0.387]",
        "amplitude  2.023 +/- 0.037",
    ],
    "nist": ["gradopt  14.", "36 of 36 fits with 4 or more", "Misra1a   lower     "],
    "pixels": ["145,864 fits in", "time constants within two errors of the truth: 9"],
    "many_assets": ["5,000 runs: 4,999 converged", "scales off by 4.0 %"],
    "multistart": ["25 different minima", "f = -1.000000 at"],
    "likelihood": ["the first gap is 2.561 +/- 0.558", "profile 0.476 to 1.338, by the curvature 0.513 to 1.368"],
    "gaussian_process": ["length 0.529, height 0.459, noise 0.148; minus log evidence -104.164", "reverse mode"],
    "any_numpy_function": ["gradopt  loss 0.0680828231", "scipy    loss 0.068082823"],
    "heat_inverse": ["584 operations, gradient included", "minimum   71.516", "0.0045 without the noise"],
    "volatility": ["gradopt                ", "omega 4.04e-06, alpha 0.052, beta 0.901"],
    "estimators": ["held out 0.9733", "largest difference of the scores: 0.0000"],
    "imbalanced": ["10.9% of the rows are of the rare class", "balanced accuracy 0.8"],
    "why_gradients": ["0.15210, 0.00031 by gradients"],
}


def test_none_is_left_out():
    assert sorted(path.stem for path in EXAMPLES.glob("*.py")) == sorted(PRINTED)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_is_short(path):
    assert len(path.read_text().splitlines()) < 60


@pytest.mark.slow
@compiled_only
@pytest.mark.parametrize("name", PRINTED)
def test_runs(name, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: the examples are not run")
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: the examples are not run")
    script = EXAMPLES / f"{name}.py"
    command = [sys.executable, "-W", "error", "-W", "ignore:gradopt was tested", str(script)]
    found_in = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    checked = os.environ | {"PYTHONPATH": found_in, "MPLBACKEND": "module://pictures"}  # saves no picture with faults
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=checked)
    assert process.returncode == 0, process.stderr
    for text in [*PRINTED[name], f"wrote {name}.png"]:
        assert text in process.stdout
    picture = (tmp_path / f"{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 10_000
