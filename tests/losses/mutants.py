# ruff: noqa: E501
"""Small faults put into the losses, one at a time, to see that the tests notice each of them.

Run as ``python tests/losses/mutants.py``. Works on a temporary copy of the package and its tests; exits with 1 if a
fault goes unnoticed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = (
    "golden",
    "oracle",
    "metric_learning",
    "errors",
    "registry",
    "edges",
    "invariance",
    "streaming",
    "gradients",
    "precision",
    "golden_classification",
    "reductions",
    "moving",
    "per_example",
    "ensloss",
)

# what it does, file, code, code with the fault
FAULTS = [
    ("takes every observed label for positive", "contrast.py", "(labels > 0).to", "(labels >= 0).to"),
    ("takes unobserved labels for positive", "contrast.py", "(labels > 0).to", "(labels != 0).to"),
    ("does not scale embeddings to unit norm", "contrast.py", "return rows / _lengths(rows)", "return rows"),
    ("divides by a norm of zero", "contrast.py", "norms.where(norms > 0, 1)", "norms"),
    ("computes with embeddings as they are", "contrast.py", "lengths = _lengths(candidates)", "lengths = _lengths(candidates) * 0 + 1"),
    ("keeps the gradient along an embedding", "contrast.py", "gradient -= candidates * (gradient * candidates).sum(dim=1, keepdim=True)", "pass"),
    ("forgets the length in the gradient", "contrast.py", "gradient *= mean / lengths", "gradient *= mean"),
    ("counts self-pairs in the denominator", "contrast.py", ".fill_(-torch.inf)", ".fill_(1 / 0.1)"),
    ("loses the mask of self-pairs in later blocks", "contrast.py", "start, log_bias = rows.start, problem.log_bias", "start, log_bias = 0, problem.log_bias"),
    ("flips the sign of the positives", "contrast.py", "value -= torch.dot(weight", "value += torch.dot(weight"),
    ("forgets the gradient by the candidates", "contrast.py", "gradient.addmm_(slope.T, scaled)", "pass"),
    ("takes the gradient for symmetric", "contrast.py", "slope + slope.T", "slope * 2"),
    ("forgets the temperature in the gradient", "contrast.py", "alpha=1 / temperature", "alpha=1"),
    ("averages over all anchors", "contrast.py", "active = mass.squeeze(1) > 0", "active = mass.squeeze(1) >= 0"),
    ("ignores the number to divide by", "contrast.py", "count if problem.total is None else problem.total", "count"),
    ("forgets the bias of the denominator", "contrast.py", "similarity + log_bias", "similarity + 0 * log_bias"),
    ("does not subtract the maximum", "contrast.py", "exponentials = (logits - highest)", "highest = highest * 0\n    exponentials = (logits - highest)"),
    ("sums the softmax over the wrong axis", "contrast.py", "exponentials.sum(dim=1, keepdim=True)", "exponentials.sum(dim=0)[:len(mass), None]"),
    ("keeps the gradient that pushes positives away", "contrast.py", "slope -= excess", "pass"),
    ("regularises pairs that are not positive", "contrast.py", ".mul_(weight.sign_())", ""),
    ("drops what is upstream of the gradient", "contrast.py", "return upstream * gradient", "return gradient"),
    ("stays under autocast", "base.py", "enabled=False):\n            if labels.shape[0] == 0:\n                return", "enabled=True):\n            if labels.shape[0] == 0:\n                return"),
    ("computes in the precision of the input", "base.py", "dtype = torch.float32\n", "dtype = torch.float16\n"),
    ("does not look at the labels' values", "base.py", "not torch.equal(labels, labels.sign())", "False"),
    ("does not look for non-finite values", "base.py", "and not tensor.detach().isfinite().all()", "and False"),
    ("ignores negatives, not the unobserved", "base.py", "return labels >= 0 if", "return labels != 0 if"),
    ("averages over labels", "base.py", "counted.any(dim=1) if", "counted.any(dim=0) if"),
    ("lets hyperparameters out of range pass", "info.py", "value > self.above", "value >= self.above"),
    ("does not bound a negative's probability", "asl.py", ".clamp(max=1)", ""),
    ("swaps the focusing exponents", "asl.py", "focus(1 - right, self.gamma_pos).where(positive", "focus(1 - right, self.gamma_pos).where(~positive"),
    ("forgets the bound under the logarithm", "asl.py", "right.clamp(min=self.eps)", "right"),
    ("takes positives for negatives", "bce.py", "target = positive.to(logits.dtype)", "target = (~positive).to(logits.dtype)"),
    ("averages in each entry", "bce.py", 'reduction="none"', 'reduction="mean"'),
    ("forgets the shape of the loss", "bce.py", ', reduction="none"), self.tau)', ', reduction="none"), 1.0)'),
    ("flips the sign of the hill", "hill.py", "self.lamb - probability", "self.lamb + probability"),
    ("takes the margin from negatives too", "splc.py", ".where(positive, logits)", ""),
    ("corrects an epoch late", "correction.py", "epoch < self", "epoch <= self"),
    ("corrects what is unlikely", "correction.py", "sigmoid() > self", "sigmoid() < self"),
    ("swaps the weights of the classes", "focal.py", "positive * self.alpha + ~positive", "~positive * self.alpha + positive"),
    ("ranks unobserved labels as negatives", "zlpr.py", "observed & ~positive", "~positive"),
    ("forgets the zero in the soft maximum", "zlpr.py", "zero = logits.new_zeros", "zero = -1 + logits.new_zeros"),
    ("ignores the learned bias", "cosine_bce.py", "+ self.offset", "+ 0 * self.offset"),
    ("takes every observed label of a cosine for positive", "cosine_bce.py", "(labels > 0).to(logits.dtype)", "(labels >= 0).to(logits.dtype)"),
    ("takes prototypes as long as they are", "cosine_bce.py", "unit(embeddings) @ unit(prototypes).T", "unit(embeddings) @ prototypes.T"),
    ("forgets the exponent of the scale", "cosine_bce.py", "self.log_scale.exp()", "self.log_scale"),
    ("focuses by the wrong power", "focal.py", "focus((-right).sigmoid(), self.gamma)", "focus((-right).sigmoid(), self.gamma + 1)"),
    ("focuses on what is right", "focal.py", "(-right).sigmoid()", "right.sigmoid()"),
    ("takes the margin away twice", "hill.py", "shifted = logits - self.margin", "shifted = logits - 2 * self.margin"),
    ("forgets the square of the hill", "hill.py", "probability**2", "probability"),
    ("focuses on what is right", "splc.py", "focus((-right).sigmoid(), self.gamma)", "focus(right.sigmoid(), self.gamma)"),
    ("adds the margin to the positives", "splc.py", "logits - self.margin", "logits + self.margin"),
    ("forgets the sign of the positives", "zlpr.py", "log_one_plus(-logits, positive)", "log_one_plus(logits, positive)"),
    ("takes the anchor's size for the union", "jaccard_supcon.py", "(sizes[rows, None] + sizes - shared)", "(sizes[rows, None] + 0 * shared)"),
    ("does not normalise the index", "jaccard_supcon.py", "jaccard.div_(jaccard.sum(dim=1, keepdim=True).clamp(min=torch.finfo(jaccard.dtype).tiny))", "jaccard"),
    ("forgets how many others there are", "mulsupcon.py", "positive[rows] / others", "positive[rows]"),
    ("forgets the temperature of the softmax", "prototype.py", "/ self.temperature", "/ 1.0"),
    ("keeps the anchor among its positives", "similarity_dissimilarity.py", "shared.diagonal(offset=rows.start).zero_()", "pass"),
    ("takes the other's size for the anchor's", "similarity_dissimilarity.py", "shared / sizes[rows, None].clamp(min=1)", "shared / sizes.clamp(min=1)"),
    ("averages the prototypes over all examples", "prototype.py", "/ each.counted.sum().clamp(min=1)", "/ each.counted.numel()"),
    ("adds instead of averaging over an example's labels", "prototype.py", "/ sizes.clamp(min=1)", "/ 1"),
    ("divides by the sum of the sizes, not the union", "jaccard_supcon.py", "sizes - shared)", "sizes)"),
    ("normalises the index with the self-pair", "jaccard_supcon.py", "jaccard.diagonal(offset=rows.start).zero_()", "pass"),
    ("counts the anchor among the others", "mulsupcon.py", "positive.sum(dim=0) - 1", "positive.sum(dim=0)"),
    ("averages over anchors, not pairs", "mulsupcon.py", "total=positive[:anchors].sum()", "total=None"),
    ("forgets the dissimilarity", "similarity_dissimilarity.py", "1 + sizes - shared", "1 + 0 * shared"),
    ("adds instead of averaging over positives", "similarity_dissimilarity.py", ".mul_(number)", ""),
    ("counts the self-pair in N_il", "msc.py", "closeness.diagonal(offset=rows.start).zero_()", "pass"),
    ("forgets the prototype in N_il", "msc.py", "(1 + closeness @ positive)", "(closeness @ positive).clamp(min=1e-9)"),
    ("weighs the prototypes in the denominator too", "msc.py", "log_bias[:batch]", "log_bias[:]"),
    ("counts the self-pair in D_il", "reg.py", "preference.diagonal(offset=rows.start).zero_()", "pass"),
    ("takes any shared label for inclusion", "reg.py", "(shared == sizes)", "(shared > 0)"),
    ("raises by the wrong sign for prototypes", "reg.py", "** -self.alpha if", "** self.alpha if"),
    ("divides by the candidate's size", "reg.py", "sizes[examples, None]", "sizes[None, :1]"),
    ("forgets that prototypes are anchors", "reg.py", "anchors=own_anchors + classes", "anchors=own_anchors"),
    ("averages one direction twice", "instance.py", "self._cross_entropy(similarity.T)", "self._cross_entropy(similarity)"),
    ("keeps the farthest negatives", "instance.py", "negatives.topk(kept, dim=1)", "(-negatives).topk(kept, dim=1)"),
    ("rounds the number of negatives down", "instance.py", "math.ceil(", "math.floor("),
    ("corrects labels an epoch early", "correction.py", "epoch < self", "epoch + 1 < self"),
    ("penalises rows that do not count", "clml.py", "rows = features.detach() * kept[:, None]", "rows = features.detach()"),
    ("penalises by another size", "clml.py", "size, norm = gradient.norm()", "size, norm = gradient.abs().sum()"),
    ("drops the floor of the norms", "clml.py", "norms.clamp(min=1).where", "norms.where"),
    ("passes gradient below the floor", "clml.py", "(norms > 1)", "(norms > 0)"),
    ("keeps singular values of rounding", "clml.py", "squares > noise.clamp(min=_RANK**2)", "squares > 0"),
    ("keeps unlabelled rows", "clml.py", "if self.exclude_unlabelled", "if not self.exclude_unlabelled"),
    ("flips the sign of the whole", "clml.py", "where(~everything, -norms)", "where(~everything, norms)"),
    ("counts the anchor's similarity to itself", "kmcl.py", "similarity.scatter(1, anchors[:, None], lowest)", "similarity"),
    ("takes the anchor for its own positive", "kmcl.py", "counts = counts.scatter(1, anchors[:, None], 0)", "pass"),
    ("halves the distance", "kmcl.py", "result / (4 * total)", "result / (2 * total)"),
    ("forgets the width of an isotropic kernel", "kmcl.py", "result * width", "result"),
    ("sums the kernels over the examples", "kmcl.py", "log_shares.logsumexp(dim=1)", "log_shares.logsumexp(dim=0).mean()"),
    ("forgets a part's weight", "kmcl.py", "self.reconstruction * term", "term"),
    ("counts self-pairs", "pairs.py", "index.diagonal().zero_()", "pass"),
    ("takes pairs without a label for negative", "pairs.py", "(shared == 0) & labelled[:, None] & labelled", "shared == 0"),
    ("keeps what is not kept", "pairs.py", "values.masked_fill(~kept, lowest)", "values"),
    ("takes a root of zero", "pairs.py", "squares.clamp(min=0) * factors**2 + 1e-6", "squares.clamp(min=1e-6) * factors**2"),
    ("leaves the other labels in the denominator", "unpg.py", "positive == 0, dim=1", "positive >= 0, dim=1"),
    ("adds the margin to a cosine", "unpg.py", "cosines - self.margin", "cosines + self.margin"),
    ("takes the margin from an angle", "unpg.py", "+ self.margin)", "- self.margin)"),
    ("takes the third quartile for the first", "unpg.py", "count // 4, 3 * count // 4", "3 * count // 4, 3 * count // 4"),
    ("keeps low outliers in the pool", "unpg.py", "(similarity >= low - reach) & ", ""),
    ("keeps high outliers in the pool", "unpg.py", " & (similarity <= high + reach)", ""),
    ("adds instead of averaging over labels", "unpg.py", "entries.sum(dim=1) / sizes.clamp(min=1)", "entries.sum(dim=1)"),
    ("takes the farthest other prototype", "proto_triplet.py", "~far, torch.inf).amin(", "~far, -torch.inf).amax("),
    ("counts examples that have all labels", "proto_triplet.py", " & far.any(dim=1)", ""),
    ("takes an example into its own centroids", "proto_triplet.py", "factors = number / others.clamp(min=1)", "factors = number / number.clamp(min=1)"),
    ("draws an example to itself", "proto_triplet.py", "known = others > 0", "known = number > 0"),
    ("is repelled by labels that nobody has", "proto_triplet.py", "~own & known)", "~own)"),
    ("flips the margin", "proto_triplet.py", "+ self.margin", "- self.margin"),
    ("takes distances for scores", "proto_triplet.py", "return -distances", "return distances"),
    ("averages over all positives", "tcm.py", "weight * (similarity <= wanted)", "weight"),
    ("averages over all negatives", "tcm.py", "negative & (similarity >= self.negative_margin)", "negative"),
    ("grades from the wrong end", "tcm.py", "wanted = self.negative_margin +", "wanted = self.positive_margin +"),
    ("swaps the weights of the means", "tcm.py", "self.positive_weight * lacking + self.negative_weight * excess", "self.negative_weight * lacking + self.positive_weight * excess"),
    ("takes examples without a label for negatives", "tcm.py", "(positive == 0) & (positive > 0).any(dim=1, keepdim=True)", "positive == 0"),
    ("lets margins cross", "tcm.py", "self.positive_margin <= self.negative_margin", "False"),
    ("pulls by no degree", "metrix.py", "(degree * distance).where", "distance.where"),
    ("pushes by no degree", "metrix.py", "(1 - degree) * F.relu", "F.relu"),
    ("averages over zeros too", "metrix.py", "(each > 0).sum()", "(each >= 0).sum()"),
    ("forgets the length of a mixture", "metrix.py", "squares.clamp(min=_SMALLEST).sqrt()", "torch.ones_like(squares)"),
    ("swaps the partners", "metrix.py", "mixing * own[:, :, None] + (1 - mixing) * to_negative", "(1 - mixing) * own[:, :, None] + mixing * to_negative"),
    ("mixes with the farthest negatives", "metrix.py", "similarity.detach().masked_fill", "(-similarity.detach()).masked_fill"),
    ("mixes every anchor with its negatives", "metrix.py", "negative & alone", "negative"),
    ("forgets the weight of the mixtures", "metrix.py", "self.weight * terms", "terms"),
    ("forgets the anchor in other mixtures", "metrix.py", "& (partners != own[:, None])", ""),
    ("mixes no label sets", "metrix.py", "weights = (mixing * index + (1 - mixing) * index[:, partners])", "weights = (index)"),
    ("does not scale mixtures", "metrix.py", "candidates = unit(mixing", "candidates = (1 * mixing"),
    ("mixes an example with itself", "metrix.py", "order.roll(1)", "order"),
    ("draws a uniform share", "metrix.py", "(2,), loss.alpha)", "(2,), 1.0)"),
    ("leaves out mixtures whose first partner is the negative", "metrix.py", "first | second, self.margin", "first, self.margin"),
    ("swaps the degrees of given mixtures", "metrix.py", "degree = mixing * index + (1 - mixing) * index[:, partners]", "degree = (1 - mixing) * index + mixing * index[:, partners]"),
    ("mixes anchors that have a positive", "metrix.py", "own & ~positive.any(dim=1, keepdim=True)", "own"),
    ("does not scale given mixtures", "metrix.py", "vectors @ unit(mixed).T", "vectors @ mixed.T"),
    ("makes mixtures though such are given", "metrix.py", "if mixed is None else mixed)", "if True else mixed)"),
    ("takes partners beyond the batch", "base.py", 'name == "partners" and (tensor >= len(labels)).any()', "False"),
    ("takes shares beyond one", "base.py", 'name == "mixing" and not 0 <= tensor <= 1', "False"),
    ("does not average the directions", "instance_simple.py", "self._negatives(similarity.T)", "self._negatives(similarity)"),
    ("keeps the farthest negatives", "instance_simple.py", "return negatives.topk(kept, dim=1)", "return negatives.topk(kept, dim=1, largest=False)"),
    ("pushes the positive too", "instance_simple.py", "similarity.sum(dim=1) - similarity.diagonal()", "similarity.sum(dim=1)"),
    ("forgets the weight of the negatives", "instance_simple.py", "self.weight * pushed", "pushed"),
    ("does not cut embeddings", "hyperbolic.py", "lengths.clamp(max=radius)", "lengths"),
    ("lets points reach the edge", "hyperbolic.py", ".clamp(max=_EDGE)", ""),
    ("forgets the curvature at a point", "hyperbolic.py", "(1 - curvature * squares))", "1)"),
    ("forgets where the plane lies", "hyperbolic.py", "inside * along - alpha * own", "inside * along"),
    ("forgets the length of a normal", "hyperbolic.py", "(lengths * inside * ", "(inside * "),
    ("halves the distance of the ball", "hyperbolic.py", "ratio = 2 * curvature", "ratio = curvature"),
    ("takes a root of no distance", "hyperbolic.py", "ratio = ratio.where(apart, 1)", "pass"),
    ("weighs all pairs alike", "hyperbolic.py", "(index * distance).sum() /", "(distance * (index > 0)).sum() /"),
    ("pairs neighbours", "hyperbolic.py", "slice(half, 2 * half)", "slice(1, half + 1)"),
    ("adds instead of averaging over labels", "hyperbolic.py", "(positive * logits).sum(dim=1) / sizes.clamp(min=1)", "(positive * logits).sum(dim=1)"),
    ("keeps mixtures from the parts", "combined.py", "*mixtures) if key in tensors", ") if key in tensors"),
    ("gives mixtures to every part", "combined.py", "if isinstance(part, Loss) and part.takes_mixtures else ()", "if part else ()"),
    ("keeps the gradient of the batch's denominator", "contrast.py", "normaliser = (moving(rows, log_mean, active)[:, None] + log_count - highest).exp()", "moving(rows, log_mean, active)"),
    ("counts the anchor among the candidates of its mean", "contrast.py", "(bias.sum() - own)", "(bias.sum() + 0 * own)"),
    ("returns the loss for the surrogate", "contrast.py", "value = torch.dot((slope - weight)", "torch.dot((slope - weight)"),
    ("moves the means of idle anchors", "moving.py", "logs.where(active, self.logs[rows])", "logs"),
    ("fades by the weight of the new", "moving.py", "math.log1p(-rate)", "math.log(rate)"),
    ("fades what it has not seen", "moving.py", ".where(old > -math.inf, new)", ""),
    ("forgets what is kept", "moving.py", "self.logs = self.logs.index_put(", "self.logs.index_put("),
    ("uses what is kept in evaluation", "base.py", "if self.training or name != INDEX]", "]"),
    ("weighs no anchor's gradient", "contrast.py", "found.slope * scales[part, None]", "found.slope"),
    ("counts the pairs of an example once", "contrast.py", "values * (active.sum() / problem.total.clamp(min=1))", "values"),
    ("counts examples for entries", "base.py", "rows * (counted.sum() / observed.sum().clamp(min=1))", "rows / observed.shape[1]"),
    ("keeps the sign of the exponent", "base.py", "expm1((1 - tau) * log_total) / (1 - tau)", "expm1((tau - 1) * log_total) / (tau - 1)"),
    ("forgets the one that is taken away", "base.py", "torch.expm1((1 - tau)", "torch.exp((1 - tau)"),
    ("swaps the signs of the labels", "comp_sum.py", "logits.where(negative, -logits)", "logits.where(positive, -logits)"),
    ("compares unobserved labels", "comp_sum.py", "negative = observed & ~positive", "negative = ~positive"),
    ("adds up an example's positives", "comp_sum.py", "/ number.clamp(min=1), number > 0", ", number > 0"),
    ("averages over examples without a positive", "comp_sum.py", ", number > 0)", ", number >= 0)"),
    ("compares with one negative", "comp_sum.py", ".logsumexp(dim=1, keepdim=True)", ".amax(dim=1, keepdim=True)"),
    ("turns the pairs round", "mw.py", "own[part, None]\n", "own[part, None]\n        gap = -gap\n"),
    ("forgets the positive's own gradient", "mw.py", "index_put_((row, column), -of_own, accumulate=True)", "clone()"),
    ("forgets the temperature in the gradient", "mw.py", "(weight[:, None] / self.temperature)", "weight[:, None]"),
    ("counts groups without negatives", "mw.py", "(number > 0) & (rivals > 0)", "(number > 0)"),
    ("divides by the negatives always", "mw.py", 'if self.normalise == "pairs":', "if True:"),
    ("pairs unobserved entries", "mw.py", "~positive & (labels >= 0) if self.ignore_unobserved else ~positive", "~positive"),
    ("sums over the drawn negatives alone", "mw.py", "weight *= every / rivals.clamp(min=1)", "pass"),
    ("draws unobserved entries and positives", "mw.py", ".masked_fill(~against, -1)", ""),
    ("compares with all negatives though some are drawn", "mw.py", "against = self._drawn(against)", "self._drawn(against)"),
    ("adds up the groups", "mw.py", "number = counted.sum().clamp(min=1)\n        return", "number = 1\n        return"),
    ("loses the slopes of the examples", "mw.py", "values + slopes.sum(dim=1)", "values"),
    ("adds the margin twice over", "ldr.py", "self.margin / strength", "self.margin"),
    ("forgets the number of the negatives", "ldr.py", " - (1 + number).log())", ")"),
    ("compares with unobserved labels", "ldr.py", "negative = rows.observed & ~rows.positive", "negative = ~rows.positive"),
    ("normalises by the labels that are not observed too", "ldr.py", "logits.abs().where(observed, 0)", "logits.abs()"),
    ("leaves the sign in the size", "ldr.py", "logits.abs().where(observed, 0)", "logits.where(observed, 0)"),
    ("leaves the virtual label out", "ldr.py", "torch.cat([rivals, level], dim=1)", "rivals"),
    ("forgets the virtual positive", "ldr.py", "(terms + alone) / (1 +", "terms / (1 +"),
    ("forgets the constant of a strength", "ldr.py", "(values - constant.squeeze(1))", "(values + 0 * constant.squeeze(1))"),
    ("adapts a strength the wrong way", "ldr.py", "self.strength * (1 - share_of_most", "self.strength * (1 + share_of_most"),
    ("adapts once, however often it is asked to", "ldr.py", "for _ in range(self.iterations):", "for _ in range(1):"),
    ("forgets the strengths that it keeps", "ldr.py", "kept.where(kept > 0, strength)", "strength"),
    ("forgets what is added to the probabilities", "ldr.py", "scores.softmax(dim=1) + 1e-5", "scores.softmax(dim=1)"),
    ("does not take the mean away", "z_loss.py", "(logits - mean).where(observed, 0)", "logits.where(observed, 0)"),
    ("divides by the variance", "z_loss.py", "(variance + _SMALLEST).sqrt()", "(variance + _SMALLEST)"),
    ("divides by no deviation", "z_loss.py", "variance + _SMALLEST", "variance"),
    ("counts unobserved entries", "z_loss.py", "centred = (logits - mean).where(observed, 0)", "centred = logits - mean"),
    ("turns the bend round", "z_loss.py", "self.location - _standardised(logits, observed)", "_standardised(logits, observed) - self.location"),
    ("forgets the sharpness in front", "z_loss.py", " / self.sharpness\n", "\n"),
    ("averages over examples without a positive", "z_loss.py", "Examples(values, number > 0)", "Examples(values, number >= 0)"),
    ("answers without its location", "z_loss.py", ") - self.location\n", ")\n"),
    ("divides by the other's variance", "snr.py", "signal = squares.where(varies, 1)[:, None]", "signal = squares.where(varies, 1)[None]"),
    ("does not centre", "snr.py", "embeddings - embeddings.mean(dim=1, keepdim=True)", "embeddings"),
    ("takes constant embeddings for anchors", "snr.py", "index * varies[:, None], negative & varies[:, None]", "index, negative"),
    ("takes rounding for a distance", "snr.py", "64 * torch.finfo(distance.dtype).eps", "0 * torch.finfo(distance.dtype).eps"),
    ("averages over all positive pairs", "snr.py", "active = index * (pulled > 0)", "active = index"),
    ("pushes positives", "snr.py", "F.relu(self.negative_margin - distance) * negative", "F.relu(self.negative_margin - distance)"),
    ("forgets the margin of triplets", "snr.py", "wanted = distance + self.margin", "wanted = distance"),
    ("takes one negative too few", "snr.py", "sums.gather(1, number)", "sums.gather(1, (number - 1).clamp(min=0))"),
    ("counts anchors, not triplets", "snr.py", "(index > 0).sum(dim=1) * negative.sum(dim=1)", "(index > 0).any(dim=1) * negative.any(dim=1)"),
    ("forgets that sums may be negative", "snr.py", "vectors.sum(dim=1).abs()", "vectors.sum(dim=1)"),
    ("takes the whole squared distance", "energy_confusion.py", "(squares[:, None] + squares) / 2 - vectors", "(squares[:, None] + squares) - 2 * vectors"),
    ("confuses all pairs alike", "energy_confusion.py", "energy.where(negative, 0)", "energy"),
    ("forgets what keeps the slope finite", "energy_confusion.py", "(mean + _SMALLEST)", "mean"),
    ("forgets how much is shared", "energy_confusion.py", "(index * energy).sum()", "(energy * (index > 0)).sum()"),
    ("always takes what the head gives", "energy_confusion.py", "if not self.head_only:", "if False:"),
    ("has a value without a pair", "energy_confusion.py", ".where(there, mean * 0)", ""),
    ("counts the example itself", "icnn.py", "masked_fill(own | ~labelled, torch.inf)", "masked_fill(~labelled, torch.inf)"),
    ("counts neighbours without a label", "icnn.py", "masked_fill(own | ~labelled, torch.inf)", "masked_fill(own, torch.inf)"),
    ("looks for strangers among those that count alone", "icnn.py", "strange = seen & (alike == 0)", "strange = seen & (place < k) & (alike == 0)"),
    ("is not relative to the stranger", "icnn.py", "(stranger.where(found, 1) + _SMALL)", "(stranger.where(found, 1) * 0 + 1)"),
    ("does not bound what is relative", "icnn.py", "relative = relative / relative.amax(dim=1, keepdim=True).clamp(min=1)", "pass"),
    ("turns the far part round", "icnn.py", "((1 - alike) * distance)", "(alike * distance)"),
    ("takes a share where there are few", "icnn.py", ".where(~few, 1)", ""),
    ("is not a logarithm", "icnn.py", ".clamp(min=torch.finfo(score.dtype).tiny).log()", ""),
    ("gives the steepest to the largest margin", "ensloss.py", ".sort(dim=1).values", ".sort(dim=1, descending=True).values"),
    ("forgets the tail", "ensloss.py", "torch.where(rows > 1, slopes / rows, slopes)", "slopes"),
    ("is not bounded", "ensloss.py", "(-steep.clamp(max=1))", "(-steep)"),
    ("ranks unobserved entries", "ensloss.py", "ranks = rows.masked_fill(~kept, torch.inf)", "ranks = rows"),
    ("keeps a gradient in evaluation that is no loss's", "ensloss.py", "if not self.training:", "if False:"),
    ("draws for examples, not labels", "ensloss.py", "return slopes.T if", "return slopes.flip(0).T if"),
    ("forgets the half of the tangent", "anyloss.py", "(logits / 2).tanh()", "logits.tanh()"),
    ("weighs recall by β, not its square", "anyloss.py", "square = self.beta**2", "square = self.beta"),
    ("counts labels without positives", "anyloss.py", "counted = positives > 0\n", "counted = positives >= 0\n"),
    ("averages instead of multiplying", "anyloss.py", "(rates[0] * rates[1])", "((rates[0] + rates[1]) / 2)"),
    ("takes the unobserved for answers", "anyloss.py", "total(yes, observed)", "total(yes, positive | ~positive)"),
    ("lets the root reach zero", "anyloss.py", ".clamp(min=1e-12).sqrt()", ".sqrt()"),
    ("passes the wrong tensors to the parts", "combined.py", "self._part_tensors[name]", "self.tensors"),
]  # fmt: skip


def main() -> int:
    """Run all faults, or those with a word of the command line in their file or description."""
    words = sys.argv[1:]
    faults = [f for f in FAULTS if not words or any(word in f"{f[0]} {f[1]}" for word in words)]
    if failed := _first_failure():
        print(f"the tests fail without any fault: {failed}")
        return 1
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        noticed = list(pool.map(_is_noticed, faults))
    print(f"{len(faults)} faults, {noticed.count(False)} unnoticed")
    return int(not all(noticed))


def _is_noticed(fault: tuple[str, str, str, str]) -> bool:
    what, file, code, faulty = fault
    failed = _first_failure(file, code, faulty)
    print(f"{'noticed  ' if failed else 'UNNOTICED'}  {file}: {what}  [{failed}]", flush=True)
    return bool(failed)


def _first_failure(file: str = "base.py", code: str = "", faulty: str = "") -> str:
    """The first test that fails in a copy of the package with a fault in one of its files, or nothing."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder).resolve()
        skip = shutil.ignore_patterns("embedded", "__pycache__")
        shutil.copytree(ROOT / "mlcl_utils", copy / "mlcl_utils", ignore=skip)
        shutil.copytree(ROOT / "tests" / "losses", copy / "tests" / "losses", ignore=skip)
        for name in ("pyproject.toml", "tests/__init__.py", "tests/conftest.py"):
            shutil.copy(ROOT / name, copy / name)
        path = copy / "mlcl_utils" / "losses" / file
        source = path.read_text()
        if code and source.count(code) != 1:
            raise ValueError(
                f"{file} has {code!r} {source.count(code)} times: the list of faults is out of date"
            )
        if code:
            path.write_text(source.replace(code, faulty))
        return _run(copy)


def _run(copy: Path) -> str:
    environment = os.environ | {
        "PYTHONPATH": str(copy),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }
    python = [sys.executable, "-c", "import mlcl_utils; print(mlcl_utils.__file__)"]
    where = subprocess.run(python, cwd=copy, env=environment, capture_output=True, text=True).stdout
    if not where.startswith(str(copy)):
        raise RuntimeError(f"what is tested is not the copy, but {where}")
    options = ["-x", "-q", "-p", "no:cacheprovider", "--tb=no", "--no-header"]
    files = [f"tests/losses/test_{name}.py" for name in TESTS]
    command = [sys.executable, "-m", "pytest", *options, *files]
    run = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    if run.returncode == 0:
        return ""
    lines = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return lines[0].split(" - ")[0].split("/")[-1] if lines else (run.stdout + run.stderr)[-300:]


if __name__ == "__main__":
    sys.exit(main())
