"""What the runs of the kernel mixture study say, in sentences that follow from the numbers."""

from __future__ import annotations

from IPython.display import Markdown

from mlcl_utils.figures import style
from mlcl_utils.studies import scores, wording
from mlcl_utils.studies.arms import Arm
from mlcl_utils.studies.contrasts import Contrast, contrast
from mlcl_utils.studies.kernel_mixture import VARIANTS
from mlcl_utils.studies.kernel_mixture.measures import Summary, dead, mixtures, nested
from mlcl_utils.studies.tables import FEW, markdown
from mlcl_utils.studies.wording import Headed
from mlcl_utils.training import BASELINES

WHOLE = VARIANTS["contrast"].arm
PLACES = {"above": "ahead of", "below": "behind", "across": "not told apart from"}


def reading(summary: Summary) -> Markdown:
    """What the numbers say, in sentences that follow from them."""
    return markdown(sentences(summary))


def sentences(summary: Summary) -> list[str]:
    """The sentences of :func:`reading`."""
    lines = []
    for task in summary.tasks:
        lines += [*_parts(summary, task), *_kernels(summary, task), *_forms(summary, task)]
        lines += [*_others(summary, task), *_alive(summary, task), *_calibration(summary, task)]
    lines += _remarks(summary)
    count = min(len(members) for arm, members in summary.arms.items() if arm.loss not in BASELINES)
    if count < FEW:
        lines.append(
            f"With {count} replicate{'s' if count > 1 else ''} of the least repeated arm, no verdict on a published"
            " claim rests on this."
        )
    return lines


def _points(each: Contrast) -> str:
    return f"{wording.in_points(each.interval)} points of mAP"


def _parts(summary: Summary, task: Arm) -> list[str]:
    """What each part adds, read with the head that validation prefers."""
    verbs = {"above": "raises", "below": "lowers", "across": "does not clearly change"}
    names = {"reconstruction": "the reconstruction", "contrast": "the contrast"}
    parts = [
        f"{names[part]} {verbs[wording.direction(each.interval)]} mAP ({wording.in_points(each.interval)} points)"
        for part, each in nested(summary, task, "map").items()
    ]
    return (
        [Headed(f"{task.describe()}:", f" added to what comes before, {'; '.join(parts)}.")] if parts else []
    )


def _kernels(summary: Summary, task: Arm) -> list[str]:
    """Bhattacharyya coefficients against what is left of them without the variances."""
    parts = []
    for name in ("mahalanobis", "rbf"):
        each = contrast(summary.arms, task.but(loss=WHOLE), task.but(loss=VARIANTS[name].arm), "map")
        if each is not None:
            label = {"mahalanobis": "the Mahalanobis kernel", "rbf": "the RBF kernel"}[name]
            parts.append(f"{PLACES[wording.direction(each.interval)]} {label} ({_points(each)})")
    return (
        [Headed(f"{task.describe()}:", f" the Bhattacharyya coefficient is {', '.join(parts)}.")]
        if parts
        else []
    )


def _forms(summary: Summary, task: Arm) -> list[str]:
    """The other forms of the whole against the default one."""
    words = {"released": "the released arithmetic", "averaged": "the form with heavier terms"}
    parts = []
    for name, said in words.items():
        each = contrast(summary.arms, task.but(loss=VARIANTS[name].arm), task.but(loss=WHOLE), "map")
        if each is not None:
            parts.append(
                f"{said} is {PLACES[wording.direction(each.interval)]} the default form ({_points(each)})"
            )
    return [Headed(f"{task.describe()}:", f" {'; '.join(parts)}.")] if parts else []


def _others(summary: Summary, task: Arm) -> list[str]:
    """KMCL against losses without a mixture."""
    parts = []
    for arm in summary.arms:
        known = {each.arm for each in VARIANTS.values()}
        if arm.task != task or arm.loss in known or arm.loss in BASELINES:
            continue
        each = contrast(summary.arms, task.but(loss=WHOLE), arm, "map")
        if each is not None:
            label = style.look(arm.loss).label
            parts.append(f"{PLACES[wording.direction(each.interval)]} {label} ({_points(each)})")
    return [Headed(f"{task.describe()}:", f" the whole of KMCL is {', '.join(parts)}.")] if parts else []


def _alive(summary: Summary, task: Arm) -> list[str]:
    """Dead terms by name; if there are none, the largest shares."""
    found = {arm: dead(summary, arm) for _, arm in mixtures(summary, task)}
    lines: list[str] = [
        Headed(
            f"{task.describe()}, {style.look(arm.loss).label}:",
            f" {'; '.join(reasons.values())}; it is not judged.",
        )
        for arm, reasons in found.items()
        if reasons
    ]
    whole = task.but(loss=WHOLE)
    if whole in summary.arms:
        underflow, saturated = (
            scores.mean(summary.arms[whole], name) for name in ("kappa_underflow", "rho_saturated")
        )
        lines.append(
            Headed(
                f"{task.describe()}:",
                f" on test, {underflow:.0%} of KMCL's κ underflow in single precision and"
                f" {saturated:.0%} of its ρ lie outside [0.01, 0.99].",
            )
        )
    return lines


def _calibration(summary: Summary, task: Arm) -> list[str]:
    """Whether the variances of the whole loss are of the right size, and in the right order."""
    arm = task.but(loss=WHOLE)
    if arm not in summary.arms:
        return []
    ratio, rank = (scores.mean(summary.arms[arm], name) for name in ("variance_ratio", "variance_rank"))
    size = "too large" if ratio < 0.9 else "too small" if ratio > 1 / 0.9 else "of the right size"
    if rank > 0.3:
        order = "kernels with a larger variance are also farther off"
    elif rank < -0.3:
        order = "kernels with a larger variance are nearer"
    else:
        order = "their order says little about how far off a kernel is"
    return [
        Headed(
            f"{task.describe()}:",
            f" squared deviations from the kernels of an example's own labels are {ratio:.2f} times"
            f" the stated variances, which are {size}; {order} (rank correlation {rank:+.2f}).",
        )
    ]


def _remarks(summary: Summary) -> list[str]:
    """Which arms are below a baseline, with the probe."""
    trained = [arm for arm in summary.arms if arm.loss not in BASELINES]
    named: dict[str, list[str]] = {}
    for arm in trained:
        word = scores.remark(summary.arms, arm)
        if word:
            named.setdefault(word, []).append(f"{style.look(arm.loss).label} ({arm.dataset})")
    return wording.remark_lines(named, ", ") or [
        f"Read with the probe, none of {len(trained)} trained arms is below logistic regression on the input."
    ]
