"""Language specialization by query: the shares of experts and the information between group and expert, from exported Parquet files alone.

    moescope export traces/demo --format parquet --output tables/demo
    python Analyses/specialization_in_sql.py tables/demo
    python Analyses/specialization_in_sql.py tables/demo --engine polars --check traces/demo

Neither query knows MoEScope: DuckDB or Polars read `routing/group=…/*.parquet`. --check computes the same with MoEScope's metrics and says by how much they
differ (not by more than 1e-9).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

Rows = list[tuple[Any, ...]]

# The first token of a document counts in no metric unless it is asked for: position > 0. A slot that is not used has an expert past the last.
SHARES = """
WITH assignments AS (
    SELECT layer, "group", unnest(experts) AS expert FROM read_parquet(?, hive_partitioning = true) WHERE position > 0
), counts AS (
    SELECT layer, "group", expert, count(*)::DOUBLE AS n FROM assignments GROUP BY ALL
)
SELECT layer, "group", expert, n / sum(n) OVER (PARTITION BY layer, "group") AS share FROM counts ORDER BY ALL
"""

INFORMATION = """
WITH assignments AS (
    SELECT layer, "group", unnest(experts) AS expert FROM read_parquet(?, hive_partitioning = true) WHERE position > 0
), counts AS (
    SELECT layer, "group", expert, count(*)::DOUBLE AS n FROM assignments GROUP BY ALL
), margins AS (
    SELECT *, sum(n) OVER (PARTITION BY layer) AS total, sum(n) OVER (PARTITION BY layer, "group") AS g,
        sum(n) OVER (PARTITION BY layer, expert) AS e
    FROM counts
)
SELECT layer, sum(n / total * log2(n * total / (g * e))) AS bits FROM margins GROUP BY layer ORDER BY layer
"""


def with_duckdb(files: str) -> tuple[Rows, Rows]:
    import duckdb

    connection = duckdb.connect()
    return connection.execute(SHARES, [files]).fetchall(), connection.execute(INFORMATION, [files]).fetchall()


def with_polars(files: str) -> tuple[Rows, Rows]:
    import polars as pl

    n = pl.col("n")
    counts = (
        pl.scan_parquet(files, hive_partitioning=True)
        .filter(pl.col("position") > 0)
        .select("layer", "group", pl.col("experts").arr.to_list().alias("expert"))
        .explode("expert")
        .group_by("layer", "group", "expert")
        .agg(pl.len().cast(pl.Float64).alias("n"))
    )
    shares = counts.with_columns((n / n.sum().over("layer", "group")).alias("share")).drop("n")
    margins = counts.with_columns(
        n.sum().over("layer").alias("total"), n.sum().over("layer", "group").alias("g"), n.sum().over("layer", "expert").alias("e")
    )
    bits = (n / pl.col("total") * (n * pl.col("total") / (pl.col("g") * pl.col("e"))).log(2)).sum()
    information = margins.group_by("layer").agg(bits.alias("bits"))
    keys = ["layer", "group", "expert"]
    return shares.sort(keys).collect().rows(), information.sort("layer").collect().rows()


def largest_difference(shares: Rows, information: Rows, trace: str) -> float:
    """Between these numbers and those of MoEScope's metrics; every pair of group and expert is looked at, those never chosen too."""
    try:
        import moescope as ms
    except ImportError:
        sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Python"))
        import moescope as ms

    opened = ms.open_trace(trace)
    ours = ms.metrics.domain_share(opened, bootstrap=0, permutations=0)
    found = {(layer, group, expert): share for layer, group, expert, share in shares}
    difference = 0.0
    for row in ours:
        difference = max(difference, abs(row["share"] - found.pop((row["layer"], row["group"], row["expert"]), 0.0)))
    if found:
        sys.exit(f"{len(found)} shares that the metric does not have: {sorted(found)[0]}")
    bits = dict(information)
    for row in ms.metrics.information(opened, bootstrap=0, permutations=0):
        difference = max(difference, abs(row["plug_in"] - bits[row["layer"]]))
    return difference


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", help="a folder that `moescope export` wrote")
    parser.add_argument("--engine", default="duckdb", choices=["duckdb", "polars"])
    parser.add_argument("--check", metavar="TRACE", help="the trace that was exported")
    args = parser.parse_args()
    files = f"{args.tables}/routing/*/*.parquet"
    try:
        shares, information = (with_duckdb if args.engine == "duckdb" else with_polars)(files)
    except ImportError as problem:
        sys.exit(f"{problem}: pip install {args.engine}")
    for layer, bits in information:
        print(f"layer {layer}: {bits:.6f} bits between group and expert")
        groups = sorted({group for found, group, _, _ in shares if found == layer})
        for group in groups:
            best = max((row for row in shares if row[0] == layer and row[1] == group), key=lambda row: row[3])
            print(f"    {group}: expert {best[2]} has the largest share, {best[3]:.4f}")
    if args.check:
        difference = largest_difference(shares, information, args.check)
        print(f"largest difference from MoEScope's metrics: {difference:.3g}")
        if difference > 1e-9:
            sys.exit("Error: expected a difference of at most 1e-9")


if __name__ == "__main__":
    main()
