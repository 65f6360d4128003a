"""Functions, classes and files go by the field's names: words of our own do not come back."""
import ast
from pathlib import Path

import pytest

import npvae

PACKAGE = Path(npvae.__file__).parent
# the word that was ours, and what the field calls it
PRIVATE = {
    "hands": "threads", "side_by_side": "parallel_for", "shares": "split_ranges",
    "clock": "begin_step", "tally": "accumulate_metrics", "look": "sync_and_check",
    "recordable": "capturable", "replays": "graphs",
    "room": "oom_guard", "breadth": "chunk_factor", "quiet": "ignore_overflow",
    "Pass": "ForwardCache", "kept": "cache", "Weighed": "WeightedKL", "weigh": "scale_kl",
    "mean_weights": "mean_grad", "is_open": "above_threshold", "floored": "clamped_kl",
    "Sloped": "FusedGradLikelihood", "keep": "cache_only", "Variables": "LatentFamily",
    "Member": "BoundDistribution", "centre": "location", "collect": "sum_param_grads",
    "suitable": "compatible_priors", "why_not": "incompatibility", "covers": "support_covers",
    "beginning": "initialization", "first_bias": "initial_bias",
    "spread": "random_init", "joints": "stacked_views",
    "widest": "max_width", "FamilyA": "an objective", "FamilyB": "an objective",
    "estimator_for": "resolve_objective", "Recipe": "TrainConfig", "hold": "keep_best",
    "told": "shape_args", "stored": "pointer_and_ld",
    "few_rows_turned": "gemm_transposed", "in_blocks": "cache_blocked",
    "flush": "flush_denormals", "Start": "InitialDensity", "OtherStart": "GenericInitialDensity",
    "Between": "TemperedTarget", "follow": "anneal", "said": "format_ess", "luck": "log_u",
    "rise": "delta_H", "fared": "diagnostics", "settle": "resolve_settings", "unseen": "held_out",
    "complain": "print_error", "given": "explicit_options", "Exponentiated": "ExpTransformed",
    "exponentiated": "transformed", "ExponentialFamily": "NaturalParameterLikelihood",
    "folded": "tail_distance", "Posterior": "LogJointTarget", "Course": "TrainStep",
    "course": "step",
}  # fmt: skip
FILES = sorted(PACKAGE.rglob("*.py"))


def names(path):
    """The file's own, and those of its functions, methods, classes and fields of classes."""
    yield path.stem
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        if isinstance(node, ast.ClassDef):
            yield from (
                field.target.id for field in node.body
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            )  # fmt: skip


def private(found):
    """Those that are words of our own, and what to call them instead."""
    return {name: PRIVATE[name] for name in (n.lstrip("_") for n in found) if name in PRIVATE}


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_no_private_word_names_anything(path):
    assert not private(names(path))


def test_the_test_can_fail(tmp_path):
    file = tmp_path / "course.py"
    file.write_text("class Recipe:\n    widest: int\n    def _tally(self): ...\n")
    assert set(private(names(file))) == {"course", "Recipe", "widest", "tally"}
