"""The losses once more, as loops over examples, labels and pairs: nothing shared with the package.

Each takes the labels as rows of -1, 0 and 1, its tensors in float64 and the hyperparameters, and gives a scalar that
can be differentiated.
"""

import math

import torch

ZERO = torch.zeros((), dtype=torch.float64)


def label_sets(labels):
    return [{label for label, value in enumerate(row) if value == 1} for row in labels]


def scaled(rows):
    return [row / row.norm() for row in rows]


def log_softmax(scores, kept):
    """Logarithms of the softmax over the kept positions, by position."""
    highest = max(scores[k].item() for k in kept)
    total = sum(torch.exp(scores[k] - highest) for k in kept)
    return {k: scores[k] - highest - torch.log(total) for k in kept}


# classification


def reduced(entry, labels, logits, reduction="batch", ignore_unobserved=False):
    total, entries, examples = ZERO, 0, 0
    for i, row in enumerate(labels):
        counted = False
        for j, value in enumerate(row):
            if value == -1 and ignore_unobserved:
                continue
            total = total + entry(value == 1, logits[i][j])
            entries += 1
            counted = True
        examples += counted
    return total / {"sum": 1, "mean": max(entries, 1), "batch": max(examples, 1)}[reduction]


def phi(u, tau):
    return torch.log(1 + u) if tau == 1 else ((1 + u) ** (1 - tau) - 1) / (1 - tau)


def bce(labels, logits, epoch, tau=1, **how):
    def entry(positive, x):
        return phi(torch.exp(-x if positive else x), tau)

    return reduced(entry, labels, logits, **how)


def corrected_bce(labels, logits, epoch, change_epoch=1, threshold=0.7, tau=1, **how):
    def entry(positive, x):
        p = torch.sigmoid(x)
        yes = positive or (epoch >= change_epoch and p > threshold)
        return phi(torch.exp(-x if yes else x), tau)

    return reduced(entry, labels, logits, **how)


def focal(labels, logits, epoch, gamma=2.0, alpha=None, **how):
    def entry(positive, x):
        right = torch.sigmoid(x) if positive else 1 - torch.sigmoid(x)
        weight = 1 if alpha is None else (alpha if positive else 1 - alpha)
        return -weight * (1 - right) ** gamma * torch.log(right)

    return reduced(entry, labels, logits, **how)


def asl(labels, logits, epoch, gamma_pos=1.0, gamma_neg=4.0, clip=0.05, eps=1e-5, **how):
    def entry(positive, x):
        p = torch.sigmoid(x)
        if positive:
            return -((1 - p) ** gamma_pos) * torch.log(p.clamp(min=eps))
        q = (1 - p + clip).clamp(max=1)
        return -((1 - q) ** gamma_neg) * torch.log(q.clamp(min=eps))

    return reduced(entry, labels, logits, **how)


def hill(labels, logits, epoch, lamb=1.5, margin=1.0, gamma=2.0, **how):
    def entry(positive, x):
        if positive:
            p = torch.sigmoid(x - margin)
            return -((1 - p) ** gamma) * torch.log(p)
        p = torch.sigmoid(x)
        return (lamb - p) * p**2

    return reduced(entry, labels, logits, **how)


def splc(labels, logits, epoch, change_epoch=1, margin=1.0, gamma=2.0, threshold=0.7, **how):
    def entry(positive, x):
        if positive:
            p = torch.sigmoid(x - margin)
        elif epoch >= change_epoch and torch.sigmoid(x) > threshold:
            p = torch.sigmoid(x)
        else:
            p = 1 - torch.sigmoid(x)
        return -((1 - p) ** gamma) * torch.log(p)

    return reduced(entry, labels, logits, **how)


def zlpr(labels, logits, epoch, ignore_unobserved=False, tau=1):
    total, examples = ZERO, 0
    for i, row in enumerate(labels):
        negatives, positives, counted = ZERO + 1, ZERO + 1, False
        for j, value in enumerate(row):
            if value == 1:
                positives = positives + torch.exp(-logits[i][j])
            elif value == 0 or not ignore_unobserved:
                negatives = negatives + torch.exp(logits[i][j])
            else:
                continue
            counted = True
        total = total + phi(negatives - 1, tau) + phi(positives - 1, tau)
        examples += counted
    return total / max(examples, 1)


def comp_sum(labels, logits, epoch, tau=1, over="threshold", ignore_unobserved=False):
    if over == "labels":
        return bce(labels, logits, epoch, tau, ignore_unobserved=ignore_unobserved)
    if over == "threshold":
        return zlpr(labels, logits, epoch, ignore_unobserved, tau)
    total, examples = ZERO, 0
    for row, x in zip(labels, logits, strict=True):
        positives = [j for j, value in enumerate(row) if value == 1]
        negatives = [
            j for j, value in enumerate(row) if value == 0 or (value == -1 and not ignore_unobserved)
        ]
        examples += bool(positives)
        for p in positives:
            u = sum((torch.exp(x[n] - x[p]) for n in negatives), ZERO)
            total = total + phi(u, tau) / len(positives)
    return total / max(examples, 1)


def normalised(x, how):
    if how.startswith("softplus"):
        x = [torch.log(1 + torch.exp(value)) for value in x]
    if how == "none":
        return x, 1
    size = (sum(abs(value) for value in x) / len(x)).clamp(min=1e-6)
    return [value / size for value in x], size


def ldr(
    labels, logits, epoch, strength=1.0, margin=2.0, normalise="softplus", threshold=False, ignore_unobserved=False,
    adaptivity=None, iterations=0,
):  # fmt: skip
    total, counted = ZERO, 0
    for i, row in enumerate(labels):
        kept = [j for j, value in enumerate(row) if value != -1 or not ignore_unobserved]
        if not kept:
            continue
        x, size = normalised([logits[i][j] for j in kept], normalise)
        zero = (math.log(2) if normalise.startswith("softplus") else 0) / size
        positives = [value for value, j in zip(x, kept, strict=True) if row[j] == 1]
        negatives = [value for value, j in zip(x, kept, strict=True) if row[j] != 1]
        own = strength
        for _ in range(iterations if len(x) > 1 else 0):
            shares = torch.softmax(torch.stack(x).detach() / own, dim=0) + 1e-5
            shares = shares / shares.sum()
            divergence = sum(p * torch.log(p * len(x)) for p in shares)
            own = strength * (1 - divergence / (adaptivity * math.log(len(x))))

        def against(rivals, p, own=own):
            inside = 1 + sum((torch.exp((n - p + margin) / own) for n in rivals), ZERO)
            return own * torch.log(inside / (1 + len(rivals)))

        if threshold:
            terms = [against([*negatives, zero], p) for p in positives] + [against(negatives, zero)]
        else:
            terms = [against(negatives, p) for p in positives]
        if not terms:
            continue
        counted += 1
        total = total + sum(terms) / len(terms)
        if iterations:
            total = total - adaptivity * math.log(len(x)) / (2 * strength) * (own - strength) ** 2
    return total / max(counted, 1)


def aldr(labels, logits, epoch, margin=0.1, normalise="l1", adaptivity=2.0, iterations=1, **how):
    return ldr(
        labels,
        logits,
        epoch,
        margin=margin,
        normalise=normalise,
        adaptivity=adaptivity,
        iterations=iterations,
        **how,
    )


def groups(labels, ignore_unobserved, kind):
    """The entries of each group of a batch, as (row, column) with whether they are positive."""
    entries = [
        (i, j, value == 1)
        for i, row in enumerate(labels)
        for j, value in enumerate(row)
        if value != -1 or not ignore_unobserved
    ]
    key = {"all": lambda e: 0, "labels": lambda e: e[1], "examples": lambda e: e[0]}[kind]
    found = {}
    for entry in entries:
        found.setdefault(key(entry), []).append(entry)
    return list(found.values())


def mw_logits(labels, logits, epoch, temperature=1.0, pool="all", normalise="pairs", ignore_unobserved=False):
    total, counted = ZERO, 0
    for group in groups(labels, ignore_unobserved, pool):
        positives = [(i, j) for i, j, positive in group if positive]
        negatives = [(i, j) for i, j, positive in group if not positive]
        if not positives or not negatives:
            continue
        counted += 1
        pairs = ZERO
        for i, j in positives:
            for k, m in negatives:
                pairs = pairs + torch.log(1 + torch.exp((logits[k][m] - logits[i][j]) / temperature))
        total = total + pairs / len(positives) / (len(negatives) if normalise == "pairs" else 1)
    return total / max(counted, 1)


def mw(labels, embeddings, prototypes, epoch, temperature=0.1, **how):
    scores = [[z @ c for c in scaled(prototypes)] for z in scaled(embeddings)]
    return mw_logits(labels, scores, epoch, temperature, **how)


def z_loss(labels, logits, epoch, sharpness=1.0, location=0.0, ignore_unobserved=False):
    total, examples = ZERO, 0
    for row, x in zip(labels, logits, strict=True):
        kept = [j for j, y in enumerate(row) if y != -1 or not ignore_unobserved]
        own = [j for j in kept if row[j] == 1]
        if not own:
            continue
        examples += 1
        mean = sum(x[j] for j in kept) / len(kept)
        deviation = torch.sqrt(sum((x[j] - mean) ** 2 for j in kept) / len(kept) + 1e-12)
        for j in own:
            z = (x[j] - mean) / deviation
            total = total + torch.log(1 + torch.exp(sharpness * (location - z))) / sharpness / len(own)
    return total / max(examples, 1)


def anyloss(
    labels, logits, epoch, metric="fbeta", beta=1.0, amplification=73.0, average="macro", ignore_unobserved=False
):  # fmt: skip
    kind = {"macro": "labels", "micro": "all", "samples": "examples"}[average]
    total, counted = ZERO, 0
    for group in groups(labels, ignore_unobserved, kind):
        answers = [torch.sigmoid(amplification * (torch.sigmoid(logits[i][j]) - 0.5)) for i, j, _ in group]
        truth = [positive for *_, positive in group]
        hits = sum((a for a, y in zip(answers, truth, strict=True) if y), ZERO)
        rejections = sum((1 - a for a, y in zip(answers, truth, strict=True) if not y), ZERO)
        positives, size = sum(truth), len(truth)
        if metric == "accuracy":
            value = (hits + rejections) / size
        elif not positives or (metric != "fbeta" and positives == size):
            continue
        elif metric == "fbeta":
            value = (1 + beta**2) * hits / (beta**2 * positives + sum(answers))
        elif metric == "gmean":
            value = torch.sqrt(hits / positives * rejections / (size - positives))
        else:
            value = (hits / positives + rejections / (size - positives)) / 2
        counted += 1
        total = total + 1 - value
    return total / max(counted, 1)


def cosine_bce(labels, embeddings, prototypes, epoch, scale=10.0, bias=-3.0, **how):
    logits = [[scale * (z @ c) + bias for c in scaled(prototypes)] for z in scaled(embeddings)]
    return bce(labels, logits, epoch, **how)


# contrastive


def jaccard_supcon(labels, embeddings, epoch, temperature=0.1, anchors=None, **_):
    sets, z = label_sets(labels), scaled(embeddings)
    total, counted = ZERO, 0
    for i, own in enumerate(sets[:anchors]):
        others = [j for j in range(len(z)) if j != i]
        jaccard = {j: len(own & sets[j]) / len(own | sets[j]) for j in others if own & sets[j]}
        if not jaccard:
            continue
        counted += 1
        log_p = log_softmax([z[i] @ other / temperature for other in z], others)
        for j, weight in jaccard.items():
            total = total - weight / sum(jaccard.values()) * log_p[j]
    return total / max(counted, 1)


def mulsupcon(labels, embeddings, epoch, temperature=0.1, anchors=None, **_):
    sets, z = label_sets(labels), scaled(embeddings)
    total, pairs = ZERO, 0
    for i, own in enumerate(sets[:anchors]):
        others = [j for j in range(len(z)) if j != i]
        for label in own:
            pairs += 1
            sharing = [j for j in others if label in sets[j]]
            if sharing:
                log_p = log_softmax([z[i] @ other / temperature for other in z], others)
                total = total - sum(log_p[j] for j in sharing) / len(sharing)
    return total / max(pairs, 1)


def similarity_dissimilarity(labels, embeddings, epoch, temperature=0.1, anchors=None, **_):
    sets, z = label_sets(labels), scaled(embeddings)
    total, counted = ZERO, 0
    for i, own in enumerate(sets[:anchors]):
        others = [j for j in range(len(z)) if j != i]
        sharing = [j for j in others if own & sets[j]]
        if not sharing:
            continue
        counted += 1
        log_p = log_softmax([z[i] @ other / temperature for other in z], others)
        for j in sharing:
            weight = len(own & sets[j]) / len(own) / (1 + len(sets[j] - own))
            total = total - weight * log_p[j] / len(sharing)
    return total / max(counted, 1)


def prototype(labels, embeddings, prototypes, epoch, temperature=0.1):
    sets, z, c = label_sets(labels), scaled(embeddings), scaled(prototypes)
    total, examples = ZERO, 0
    for i, own in enumerate(sets):
        if not own:
            continue
        examples += 1
        log_p = log_softmax([z[i] @ other / temperature for other in c], range(len(c)))
        total = total - sum(log_p[label] for label in own) / len(own)
    return total / max(examples, 1)


def msc(labels, embeddings, prototypes, epoch, temperature=0.1, alpha=1.0, beta=0.1, anchors=None, **_):
    sets, z, c = label_sets(labels), scaled(embeddings), scaled(prototypes)
    total, examples = ZERO, 0
    for i, own in enumerate(sets[:anchors]):
        if not own:
            continue
        examples += 1
        others = [j for j in range(len(z)) if j != i]
        denominator = sum(torch.exp(z[i] @ other / temperature) for other in c)
        denominator = denominator + beta * sum(torch.exp(z[i] @ z[j] / temperature) for j in others)
        anchored = ZERO
        for label in own:
            sharing = {j: alpha / len(own | sets[j]) for j in others if label in sets[j]}
            norm = 1 + sum(sharing.values())
            anchored = anchored + (z[i] @ c[label] / temperature - torch.log(denominator)) / norm
            for j, weight in sharing.items():
                anchored = anchored + weight / norm * (z[i] @ z[j] / temperature - torch.log(denominator))
        total = total - anchored / len(own)
    return total / max(examples, 1)


def reg(
    labels, embeddings, prototypes, epoch, temperature=0.1, alpha=0.0, regularise=True, anchors=None, **_
):
    sets = label_sets(labels) + [{label} for label in range(len(prototypes))]
    v = scaled(embeddings) + scaled(prototypes)
    nodes = range(len(v))

    def r(i, j):
        if alpha < 0:
            return float(sets[j] <= sets[i])
        return (len(sets[i] & sets[j]) / len(sets[j])) ** alpha

    total, counted = ZERO, 0
    for i in nodes:
        if anchors is not None and anchors <= i < len(embeddings):
            continue  # a candidate alone
        others = [j for j in nodes if j != i]
        weights = {}
        for j in others:
            shares = [r(i, j) / d if (d := sum(r(i, k) for k in others if label in sets[k])) else 0.0
                      for label in sets[i] & sets[j]]  # fmt: skip
            weights[j] = sum(shares) / max(len(sets[i]), 1)
        if sum(weights.values()) == 0:
            continue
        counted += 1
        scores = [v[i] @ other / temperature for other in v]
        log_p = log_softmax(scores, others)
        for j, weight in weights.items():
            total = total - weight * log_p[j]
            if regularise and weight:
                excess = max(math.exp(log_p[j].item()) - weight, 0)
                total = total - excess * scores[j]
    return total / max(counted, 1)


def instance(labels, embeddings, views, epoch, temperature=0.1, hard_fraction=1.0):
    z, other = scaled(embeddings), scaled(views)
    total = ZERO
    for anchors, candidates in ((z, other), (other, z)):
        for i, anchor in enumerate(anchors):
            scores = [anchor @ candidate / temperature for candidate in candidates]
            negatives = sorted((j for j in range(len(z)) if j != i), key=lambda j: -scores[j].item())
            kept = negatives[: math.ceil(hard_fraction * len(negatives))]
            total = total - log_softmax(scores, [i, *kept])[i]
    return total / (2 * len(z))


# structure


def clml(
    labels,
    features,
    logits,
    epoch,
    weight=1.0,
    change_epoch=1,
    margin=1.0,
    threshold=0.7,
    exclude_unlabelled=True,
):
    positive = torch.tensor(labels) == 1
    if epoch >= change_epoch:
        positive = positive | (torch.sigmoid(logits) > threshold)

    def nuclear(rows):
        if len(rows) == 0:
            return ZERO
        u, s, v = torch.linalg.svd(rows.detach(), full_matrices=False)
        slope = u[:, s > 1e-6] @ v[s > 1e-6]
        return s.sum() + (rows * slope).sum() - (rows * slope).sum().detach()

    kept = positive.any(dim=1) if exclude_unlabelled else torch.ones(len(labels), dtype=torch.bool)
    if not kept.any():
        return ZERO
    total = -nuclear(features[kept])
    for label in range(positive.shape[1]):
        norm = nuclear(features[positive[:, label]])
        total = total + (norm if norm > 1 else ZERO + 1)
    return weight / len(labels) * total


def norm_penalty(labels, features, logits, epoch, exclude_unlabelled=True, **given):
    replaced = clml(labels, features, logits, epoch, exclude_unlabelled=exclude_unlabelled, **given)
    if not replaced.requires_grad:
        return ZERO
    (gradient,) = torch.autograd.grad(replaced, [features])
    positive = torch.tensor(labels) == 1
    if epoch >= given.get("change_epoch", 1):
        positive = positive | (torch.sigmoid(logits) > given.get("threshold", 0.7))
    rows = [row for row, own in zip(features, positive, strict=True) if own.any() or not exclude_unlabelled]
    norm = torch.stack(rows).square().sum().sqrt()
    return gradient.square().sum().sqrt() * norm


# kernel


def kmcl(
    labels, logits, mean, variance, features, epoch, temperature=0.17, gamma_neg=4.0, gamma_pos=1.0, clip=0.05,
    eps=1e-7, kernel="bhattacharyya", jaccard="log", stable=True, reconstruction=1.0, contrastive=1.0,
):  # fmt: skip
    sets = label_sets(labels)
    classes, width = range(logits.shape[1]), features.shape[1]
    if mean.ndim == 2:
        mean, variance = (x[..., None].expand(*x.shape, width) for x in (mean, variance))
    first = asl(labels, logits, epoch, gamma_pos, gamma_neg, clip, eps, reduction="sum")
    labelled = max(sum(1 for own in sets if own), 1)

    second = ZERO
    for n, own in enumerate(sets):
        if not own:
            continue
        kernels = [torch.exp(-((features[n] - mean[n, k]) ** 2 / variance[n, k]).sum() / 2) for k in classes]
        if not stable:
            kernels = [value.clamp(min=1.17549e-38) for value in kernels]
        shares = [torch.sigmoid(logits[n, k]) * kernels[k] for k in classes]
        ratio = sum(shares[k] for k in own) / sum(shares)
        second = second - torch.log(ratio if stable else ratio.clamp(min=eps)) / labelled

    def similarity(n, m, k):
        distance = (mean[n, k] - mean[m, k]) ** 2
        if kernel == "rbf":
            return torch.exp(-distance.sum() / 8)
        both = variance[n, k] + variance[m, k]
        exponent = -(distance / both).sum() / 4
        if kernel == "bhattacharyya":
            spread = torch.log(both / (2 * torch.sqrt(variance[n, k] * variance[m, k])))
            exponent = exponent - spread.sum() / 2
        return torch.exp(exponent)

    third = ZERO
    for n, own in enumerate(sets):
        others = [m for m in range(len(sets)) if m != n]
        sharing = [m for m in others if own & sets[m]]
        for m in sharing:
            index = len(own & sets[m]) / len(own | sets[m])
            for k in own & sets[m]:
                total = sum(torch.exp(similarity(n, i, k) / temperature) for i in others)
                ratio = torch.exp(similarity(n, m, k) / temperature) / total
                inside, front = (ratio * index, 1) if jaccard == "log" else (ratio, index)
                log = torch.log(inside if stable else inside + 1e-7)
                third = third - front * log / len(sharing) / labelled
    return first + reconstruction * second + contrastive * third


# metric learning


def jaccard(one, other):
    return len(one & other) / len(one | other) if one | other else 0.0


def negative_pair(one, other):
    return bool(one and other and not one & other)


def mean_of_nonzero(values):
    return sum(values, ZERO) / max(sum(value.item() > 0 for value in values), 1)


def unpg(
    labels, embeddings, prototypes, epoch, scale=64.0, margin=0.5, kind="cosine", whisker=1.5, pool=True
):
    sets, z, c = label_sets(labels), scaled(embeddings), scaled(prototypes)
    pooled = [
        z[i] @ z[j] for i in range(len(z)) for j in range(i + 1, len(z)) if negative_pair(sets[i], sets[j])
    ]
    if pooled and whisker is not None:
        ordered = sorted(value.item() for value in pooled)
        low, high = ordered[len(ordered) // 4], ordered[3 * len(ordered) // 4]
        reach = whisker * (high - low)
        pooled = [value for value in pooled if low - reach <= value.item() <= high + reach]
    total, examples = ZERO, 0
    for i, own in enumerate(sets):
        if not own:
            continue
        examples += 1
        against = [z[i] @ c[k] for k in range(len(c)) if k not in own] + (pooled if pool else [])
        for label in own:
            cosine = z[i] @ c[label]
            lowered = cosine - margin if kind == "cosine" else torch.cos(torch.arccos(cosine) + margin)
            if against:
                logits = scale * torch.stack([lowered, *against])
                total = total - log_softmax(logits, range(len(logits)))[0] / len(own)
    return total / max(examples, 1)


def proto_triplet(labels, embeddings, prototypes, epoch, margin=0.5, positive="mean"):
    total, examples = ZERO, 0
    for own, z in zip(label_sets(labels), embeddings, strict=True):
        others = set(range(len(prototypes))) - own
        if not own or not others:
            continue
        examples += 1
        distance = [torch.sqrt(((z - c) ** 2).sum() + 1e-6) for c in prototypes]
        nearest = min((distance[k] for k in others), key=torch.Tensor.item)
        hinges = [torch.relu(distance[label] - nearest + margin) for label in own]
        total = total + (
            max(hinges, key=torch.Tensor.item) if positive == "max" else sum(hinges) / len(hinges)
        )
    return total / max(examples, 1)


def margins(positives, negatives, negative_margin, positive_weight=1.0, negative_weight=1.0):
    """TCM's two means, from (cosine, weight, wanted) of the positives and the cosines of the negatives."""
    active = [(s, weight, wanted) for s, weight, wanted in positives if s.item() <= wanted]
    above = [s for s in negatives if s.item() >= negative_margin]
    lacking = sum((weight * (wanted - s) for s, weight, wanted in active), ZERO)
    excess = sum((s - negative_margin for s in above), ZERO)
    lacking = lacking / (sum(weight for _, weight, _ in active) or 1)
    return positive_weight * lacking + negative_weight * excess / max(len(above), 1)


def tcm(labels, embeddings, epoch, positive_margin=0.9, negative_margin=0.5, graded=True, **weights):
    sets, z = label_sets(labels), scaled(embeddings)
    positives, negatives = [], []
    for i, own in enumerate(sets):
        for j, other in enumerate(sets):
            if i != j and own & other:
                w = jaccard(own, other)
                wanted = negative_margin + (positive_margin - negative_margin) * w
                positives.append((z[i] @ z[j], 1.0, wanted) if graded else (z[i] @ z[j], w, positive_margin))
            elif negative_pair(own, other):
                negatives.append(z[i] @ z[j])
    return margins(positives, negatives, negative_margin, **weights)


def tcm_prototypes(
    labels, embeddings, prototypes, epoch, positive_margin=0.9, negative_margin=0.5, **weights
):
    positives, negatives = [], []
    for own, z in zip(label_sets(labels), scaled(embeddings), strict=True):
        for label, c in enumerate(scaled(prototypes)):
            if label in own:
                positives.append((z @ c, 1.0, positive_margin))
            elif own:
                negatives.append(z @ c)
    return margins(positives, negatives, negative_margin, **weights)


def instance_simple(labels, embeddings, views, epoch, weight=1.0, hard_fraction=1.0):
    z, other = scaled(embeddings), scaled(views)
    total = ZERO
    for anchors, candidates in ((z, other), (other, z)):
        for i, anchor in enumerate(anchors):
            others = [anchor @ c for j, c in enumerate(candidates) if j != i]
            kept = sorted(others, key=lambda s: -s.item())[: math.ceil(hard_fraction * len(others))]
            total = total - anchor @ candidates[i] + weight * sum(kept, ZERO)
    return total / (2 * len(z))


def metrix(
    labels, embeddings, epoch, margin=0.5, weight=0.4, mixing=0.5, mode="positive_negative", pairing="sampled",
    negatives=3,
):  # fmt: skip
    sets, z = label_sets(labels), scaled(embeddings)

    def cost(compared):
        pulled, pushed = [], []
        for anchor, other, degree in compared:
            distance = torch.sqrt(torch.clamp(2 - 2 * (anchor @ other), min=1e-12))
            pulled.append(degree * distance)
            pushed.append((1 - degree) * torch.relu(margin - distance))
        return mean_of_nonzero(pulled) + mean_of_nonzero(pushed)

    def mixture(one, other):
        mixed = mixing * one + (1 - mixing) * other
        return mixed / mixed.norm()

    clean, mixed = [], []
    for i, own in enumerate(sets):
        if not own:
            continue
        others = [j for j in range(len(z)) if j != i]
        clean += [(z[i], z[j], jaccard(own, sets[j])) for j in others]
        sharing = [j for j in others if own & sets[j]]
        rest = sorted((j for j in others if not own & sets[j]), key=lambda j: -(z[i] @ z[j]).item())
        if mode == "anchor_negative":
            mixed += [(z[i], mixture(z[i], z[q]), mixing) for q in rest if not sharing]
        else:
            kept = rest if pairing == "all" else rest[:negatives]
            mixed += [
                (z[i], mixture(z[p], z[q]), mixing * jaccard(own, sets[p])) for p in sharing for q in kept
            ]
    return cost(clean) + weight * cost(mixed)


def metrix_supcon(labels, embeddings, partners, mixing, temperature=0.1):
    sets, z = label_sets(labels), scaled(embeddings)
    mixed = scaled([mixing * z[j] + (1 - mixing) * z[partners[j]] for j in range(len(z))])
    total, counted = ZERO, 0
    for i, own in enumerate(sets):
        others = [j for j in range(len(z)) if j != i and partners[j] != i]
        weight = {
            j: mixing * jaccard(own, sets[j]) + (1 - mixing) * jaccard(own, sets[partners[j]]) for j in others
        }
        if sum(weight.values()) == 0:
            continue
        counted += 1
        log_p = log_softmax([z[i] @ m / temperature for m in mixed], others)
        total = total - sum(weight[j] * log_p[j] for j in others) / sum(weight.values())
    return total / max(counted, 1)


# the Poincaré ball, by its definitions


def exp_at_centre(vector, curvature, radius=math.inf):
    length = vector.norm()
    if length.item() == 0:
        return vector
    if length.item() > radius:
        vector = vector * radius / length
    root = math.sqrt(curvature)
    reach = torch.tanh(root * vector.norm())
    return (reach if reach.item() < 0.999 else 0.999) * vector / (root * vector.norm())


def moebius_sum(x, y, c):
    product, first, second = x @ y, x @ x, y @ y
    above = (1 + 2 * c * product + c * second) * x + (1 - c * first) * y
    return above / (1 + 2 * c * product + c**2 * first * second)


def hyperbolic_logit(x, offset, normal, c):
    p = exp_at_centre(offset, c)
    factor = 2 / (1 - c * (p @ p))
    a = normal * (1 - c * (p @ p))
    m = moebius_sum(-p, x, c)
    root = math.sqrt(c)
    inside = 2 * root * (m @ a) / (a.norm() * (1 - c * (m @ m)))
    return factor * a.norm() / root * torch.asinh(inside)


def hyperbolic_ce(labels, embeddings, prototypes, normals, epoch, curvature=0.1, radius=2.0):
    total, examples = ZERO, 0
    for own, z in zip(label_sets(labels), embeddings, strict=True):
        if not own:
            continue
        examples += 1
        x = exp_at_centre(z, curvature, radius)
        logits = [hyperbolic_logit(x, p, a, curvature) for p, a in zip(prototypes, normals, strict=True)]
        log_p = log_softmax(logits, range(len(logits)))
        total = total - sum(log_p[label] for label in own) / len(own)
    return total / max(examples, 1)


def hyperbolic_confusion(
    labels, embeddings, epoch, curvature=0.1, radius=2.0, inverse="artanh", pairs="halves"
):
    sets, x = label_sets(labels), [exp_at_centre(z, curvature, radius) for z in embeddings]
    half, root = len(x) // 2, math.sqrt(curvature)
    chosen = [(i, i + half) for i in range(half)]
    if pairs == "all":
        chosen = [(i, j) for i in range(len(x)) for j in range(len(x)) if i != j]
    total, weights = ZERO, 0.0
    for i, j in chosen:
        w = jaccard(sets[i], sets[j])
        weights += w
        between = root * moebius_sum(-x[i], x[j], curvature)
        if w and between.any():
            total = total + w * 2 / root * getattr(torch, inverse.replace("artanh", "arctanh"))(
                between.norm()
            )
    return total / (len(x) if pairs == "halves" else weights or 1)


def degrees(labels):
    """The Jaccard indices of all pairs, and which pairs are negative, by loops over sets."""
    sets = label_sets(labels)
    share = [
        [0.0 if i == j or not a & b else len(a & b) / len(a | b) for j, b in enumerate(sets)]
        for i, a in enumerate(sets)
    ]
    negative = [[bool(a) and bool(b) and not a & b for b in sets] for a in sets]
    return share, negative


def snr_distances(embeddings):
    """Var(z_j - z_i) / Var(z_i); None for an anchor i that is constant."""

    def variance(x):
        return ((x - x.mean()) ** 2).mean()

    return [
        None
        if variance(anchor) <= 1e-12 * (anchor**2).mean()
        else [variance(z - anchor) / variance(anchor) for z in embeddings]
        for anchor in embeddings
    ]


def snr_contrastive(labels, embeddings, epoch, positive_margin=0.0, negative_margin=1.0, normalise=False):
    share, negative = degrees(labels)
    pulled, weights, pushed, number = ZERO, 0, ZERO, 0
    for i, row in enumerate(snr_distances(scaled(embeddings) if normalise else embeddings)):
        for j, d in enumerate(row or ()):
            if share[i][j] and d > positive_margin + 1e-12:
                pulled = pulled + share[i][j] * (d - positive_margin)
                weights += share[i][j]
            if negative[i][j] and d < negative_margin:
                pushed, number = pushed + negative_margin - d, number + 1
    return pulled / (weights or 1) + pushed / max(number, 1)


def snr_triplet(labels, embeddings, epoch, margin=0.2, regularisation=0.005, normalise=False):
    share, negative = degrees(labels)
    z = scaled(embeddings) if normalise else embeddings
    hinges, weights, levels, triplets = ZERO, 0, ZERO, 0
    for i, row in enumerate(snr_distances(z)):
        for p, near in enumerate(row or ()):
            for q, far in enumerate(row or ()):
                if share[i][p] and negative[i][q]:
                    triplets += 1
                    levels = levels + z[i].sum().abs()
                    if near - far + margin > 0:
                        hinges = hinges + share[i][p] * (near - far + margin)
                        weights += share[i][p]
    return hinges / (weights or 1) + regularisation * levels / max(triplets, 1)


def energy_confusion(labels, confused, epoch, pairs="negative", weight=1.0, normalise=False):
    share, negative = degrees(labels)
    z = scaled(confused) if normalise else confused
    energies = [[((a - b) ** 2).sum() / 2 for b in z] for a in z]
    places = [(i, j) for i in range(len(z)) for j in range(len(z))]
    apart = [energies[i][j] for i, j in places if negative[i][j]]
    total = sum(share[i][j] for i, j in places) if pairs == "all" else 0
    if not apart and not total:
        return ZERO
    energy = sum(apart) / max(len(apart), 1)
    if total:
        energy = energy + sum(share[i][j] * energies[i][j] for i, j in places) / total
    return weight * torch.log(energy + 1e-6)


def icnn(labels, embeddings, epoch, neighbours=4, horizon=None):
    kept = [i for i, own in enumerate(label_sets(labels)) if own]
    n, small = len(kept), 1e-7
    if n < 3:
        return ZERO
    share, _ = degrees(labels)
    few = neighbours + 2 >= n
    k = n - 2 if few else neighbours
    reach = k + 1 if horizon is None else max(min(horizon, n - 1), k)
    near, near_rows, shares, rows = ZERO, 0, 0, []
    for i in kept:
        found = sorted(
            ((torch.sqrt(((embeddings[i] - embeddings[j]) ** 2).sum() + 1e-6), j) for j in kept if j != i),
            key=lambda pair: pair[0].item(),
        )
        strangers = [d for d, j in found[:reach] if share[i][j] == 0]
        own = [(d, share[i][j]) for d, j in found[:k]]
        rows.append(own)
        same = sum(w for _, w in own)
        shares += same / k / n
        relative = [d / (strangers[0] + small) if strangers else d * 0 for d, _ in own]
        largest = max([*relative, torch.ones_like(relative[0])], key=torch.Tensor.item)
        near_rows += same > 0
        near = near + sum(a / largest * w for a, (_, w) in zip(relative, own, strict=True)) / (same + small)
    near = 1 - near / (near_rows + small)
    unlike = [d for own in rows for d, w in own if w == 0]
    far, far_rows = ZERO, 0
    for own in rows:
        lacking = k - sum(w for _, w in own)
        far_rows += lacking > 0
        if unlike:
            reached = max(unlike, key=torch.Tensor.item) + small
            far = far + sum((1 - w) * d / reached for d, w in own) / (lacking + small)
    far = far / (far_rows + small) if unlike else 1
    return -torch.log(((near + far) / 2 + (1 if few else shares)) / 2)
