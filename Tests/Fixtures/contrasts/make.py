"""Makes contrasts.json: documents of three designs, and the contrasts of their groups by numpy.

    pip install -r Tests/Fixtures/routing-trace/requirements.txt
    python3 Tests/Fixtures/contrasts/make.py

The formulas are those of Sources/RoutingMetrics/Statistics/ContrastTest.swift, written a second time over whole arrays.
"""

import json
from pathlib import Path

import numpy as np

PRIOR = 4.0


def draw(rng, groups, documents, experts, parallel, unused):
    """Counts of documents whose lengths and dispersions differ between groups."""
    rows, labels, texts = [], [], []
    for group in range(groups):
        for text in range(documents[group]):
            length = int(rng.lognormal(3 + 0.3 * group, 0.5)) + 4
            share = rng.dirichlet(np.full(experts, 0.5 + 2.0 * group))
            if unused and group == 0:
                share[1] = 0
                share /= share.sum()
            rows.append(rng.multinomial(length, share))
            labels.append(group)
            texts.append(f"{text}" if text < parallel else None)
    return np.array(rows, float), np.array(labels), texts


def satterthwaite(parts):
    total, spread = sum(v for v, _ in parts), sum(v * v / f for v, f in parts)
    return max(1.0, total**2 / spread) if spread > 0 else 1.0


def freedom(sizes):
    """Units of unequal size count for fewer."""
    return max(1.0, (sizes**2).sum() ** 2 / (sizes**4).sum() - 1)


def moderated(variance, expected, f, rare):
    drawn = (f * variance + PRIOR * expected) / (f + PRIOR)
    return np.where(rare, np.maximum(drawn, expected), drawn)


def effect(variances, size, noise):
    """How many times the variance of independent draws it is."""
    return max(1.0, variances.sum() * size / noise.sum())


def contrasts(counts, labels, units):
    """Share here and elsewhere, error, degrees of freedom and z of every group and expert."""
    size = counts.sum(axis=1)
    pooled = counts.sum(axis=0) / size.sum()
    noise = pooled * (1 - pooled)
    members = [np.flatnonzero(units == u) for u in np.unique(units)]
    alone = np.array(sorted(m[0] for m in members if len(m) == 1), int)
    several = [m for m in members if len(m) > 1]
    groups = np.unique(labels)
    of_group = {}
    for g in groups:
        own = alone[labels[alone] == g]
        if len(own) < 2:
            of_group[g] = (np.zeros(counts.shape[1]), 1.0, 0.0)
            continue
        m, y = size[own], counts[own]
        share = y.sum(axis=0) / m.sum()
        left_out = (y.sum(axis=0) - y) / (m.sum() - m)[:, None]
        # The jackknife of a ratio, about the whole's: what leaving a unit out moves.
        variance = (len(own) - 1) / len(own) * ((left_out - share) ** 2).sum(axis=0)
        f = freedom(m)
        expected = effect(variance, m.sum(), noise) * noise / m.sum()
        of_group[g] = (moderated(variance, expected, f, share < pooled), f, m.sum())
    found = []
    for g in groups:
        here, there = labels == g, labels != g
        M, N = size[here].sum(), size[there].sum()
        p, q = counts[here].sum(axis=0) / M, counts[there].sum(axis=0) / N
        variance, f, m = of_group[g]
        parts = [((m / M) ** 2 * variance, f)]
        for h in groups:
            if h != g:
                variance, f, m = of_group[h]
                parts.append(((m / N) ** 2 * variance, f))
        if several:
            whole = np.array([size[m].sum() for m in several])
            moved = []
            for unit in several:
                own = unit[labels[unit] == g]
                other = unit[labels[unit] != g]
                moved.append(
                    (counts[own].sum(axis=0) - p * size[own].sum()) / M
                    - (counts[other].sum(axis=0) - q * size[other].sum()) / N
                )
            moved = np.array(moved) / (1 - whole / size.sum())[:, None]
            variance = (len(several) - 1) / len(several) * (moved**2).sum(axis=0)
            f = freedom(whole)
            inside = np.concatenate([u[labels[u] == g] for u in several])
            outside = np.concatenate([u[labels[u] != g] for u in several])
            weight = 1 / (1 / size[inside].sum() + 1 / size[outside].sum())
            expected = effect(variance, weight, noise) * noise / weight
            parts.append((moderated(variance, expected, f, p < pooled), f))
        variance = sum(v for v, _ in parts)
        spread = sum(v * v / f for v, f in parts)
        df = variance**2 / spread
        t = (p - q) / np.sqrt(variance)
        z = np.sign(t) * (8 * df + 1) / (8 * df + 3) * np.sqrt(df * np.log1p(t * t / df))
        for e in range(counts.shape[1]):
            found.append(
                {"group": int(g), "expert": e, "share": p[e], "rest": q[e], "error": float(np.sqrt(variance[e])),
                 "freedom": float(df[e]), "z": float(z[e])}
            )
    return found


def main():
    rng = np.random.default_rng(20250101)
    designs = {
        "documents": draw(rng, 3, [6, 9, 14], 5, 0, True),
        "parallel": draw(rng, 3, [10, 10, 10], 4, 10, False),
    }
    result = {}
    for name, (counts, labels, texts) in designs.items():
        units = np.array([int(t) if t is not None else 1000 + i for i, t in enumerate(texts)])
        result[name] = {
            "counts": counts.astype(int).tolist(), "groups": labels.tolist(), "parallel": texts,
            "cells": contrasts(counts, labels, units),
        }
    text = json.dumps(result, indent=1)
    (Path(__file__).parent / "contrasts.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
