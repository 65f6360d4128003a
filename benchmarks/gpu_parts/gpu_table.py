"""The numbers of the benchmark on a GPU as tables, and the goals that they meet or miss."""
from typing import Any

from peers import on_gpu

from gpu_parts.gpu_scale import Scale, Setting

P_LIMIT, P_RATIO, SECONDS = 40.0, 0.6, 60.0  # µs; of the best peer; for 10⁸ samples


def best_peer(result: dict[str, Any]) -> str | None:
    """The fastest side that is not npvae's own and does the same work."""
    peers = {name: side["median_us"] for name, side in result["sides"].items()
             if name not in on_gpu.OWN and side["agrees"]}  # fmt: skip
    return min(peers, key=lambda name: peers[name], default=None)


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """npvae in one comparison: its time, against the best peer, a node, and the roofline."""
    row: dict[str, Any] = {"setting": result["setting"], "roofline_us": result["roofline_us"]}
    own, peer = result["sides"].get("npvae"), best_peer(result)
    if peer:
        row |= {"best_peer": peer, "peer_us": result["sides"][peer]["median_us"]}
    if own and own["agrees"]:
        us = own["median_us"]
        row |= {"us": us, "of_roofline": round(result["roofline_us"] / us, 3)}
        if peer:
            row["of_peer"] = round(1 / result["sides"][peer]["ratio"], 3)
        if nodes := result.get("account", {}).get("nodes"):
            row |= {"nodes": nodes, "us_a_node": round(us / nodes, 3),
                    "launches_a_step": result["account"]["launches_a_step"]}  # fmt: skip
    return row


def goals(report: dict[str, Any], scale: Scale) -> list[dict[str, Any]]:
    """Every goal, its number, and whether it is met; None where nothing was measured."""
    rows: list[dict[str, Any]] = []

    def goal(text: str, value: float | None, limit: float) -> None:
        met = None if value is None else value <= limit
        rows.append({"goal": text, "value": value, "met": met})

    small, large = scale.sizes[:2]
    for result in report["steps"]:
        row, setting = summary(result), result["setting"]
        at = str(Setting(**setting))
        if (setting["model"], setting["M"]) == ("P", small):
            goal(f"{at}: at most {P_LIMIT:.0f} µs a step", row.get("us"), P_LIMIT)
            goal(f"{at}: at most {P_RATIO} of the best peer", row.get("of_peer"), P_RATIO)
        if setting["M"] == large:
            goal(f"{at}: no slower than the best peer", row.get("of_peer"), 1.0)
    curve = report.get("curve", {})
    done = curve.get("figure_2") and curve["samples"] >= scale.curve_samples
    text = f"{scale.curve_samples:.0e} samples of figure 2 in under {SECONDS:.0f} s"
    goal(text, curve["seconds"] if done else None, SECONDS)
    if curve.get("figure_2") and not done:  # time was over
        rows[-1]["met"] = False
    return rows


def smoke(found: dict[str, Any]) -> str:
    """A step of the smoke test in a few words."""
    if "failed" in found:
        return f"FAILED  {found['failed']}"
    if "by_16" in found:
        ways = {"by_16": "replayed by 16", "by_1": "by 1", "eager": "launched one by one"}
        return ", ".join(f"{found[way]['us']:.1f} µs {words}" for way, words in ways.items())
    if "products" in found:
        lines = ["µs, nodes and error in float32, and in TF32"]
        for row in found["products"]:
            (M, K), (_, N), _ = row["shapes"]
            lines.append(f"  {f'({M}, {K}) · ({K}, {N})':28s}" + "".join(
                f"{row[p]['us']:10.1f} {len(row[p]['nodes']):3d} {row[p]['error']:9.1e}"
                for p in ("float32", "tf32")
            ))  # fmt: skip
        return "\n".join(lines)
    if "missing" in found:
        where = f"not in the graph: {', '.join(found['missing'])}" if found["missing"] else "all"
        return f"{len(found['ops'])} ops, {len(found['nodes'])} nodes: {where}"
    verdict = {True: "passed  ", False: "FAILED  ", None: ""}[found.get("passed")]
    return verdict + remark(found)


def comparison(result: dict[str, Any]) -> str:
    """One comparison, fastest first."""
    lines = [
        f"{result['workload']}, {result['setting']['precision']}: {result['visits']} visits of "
        f"{result['epochs_a_visit']} epochs of {result['steps_an_epoch']} steps",
        f"  roofline {result['roofline_us']:.2f} µs: {result['arithmetic_us']:.2f} by arithmetic, "
        f"{result['memory_us']:.2f} by bytes",
        f"  {'':36s}{'µs a step':>10s}  {'quartiles':>17s}{'÷ npvae':>9s}{'loss':>10s}"
        f"{'Δ loss':>9s}{'Δ θ':>9s}",
    ]
    for name, side in sorted(result["sides"].items(), key=lambda item: item[1]["median_us"]):
        low, high = side["quartiles_us"]
        lines.append(
            f"  {on_gpu.SIDES[name].label:36s}{side['median_us']:10.1f}  {low:8.1f}–{high:<8.1f}"
            f"{side['ratio']:9.2f}{side['loss']:10.3f}{side['loss_error']:9.0e}"
            f"{side['parameter_error']:9.0e}"
            + ("" if side["agrees"] else "   does other work: not counted")
        )
    for why in dict.fromkeys(result["skipped"].values()):
        sides = [on_gpu.SIDES[name].label for name, w in result["skipped"].items() if w == why]
        lines.append(f"  skipped, {why}: {'; '.join(sides)}")
    return "\n".join(lines)


def profile(found: dict[str, Any]) -> list[str]:
    """The nodes of npvae's step, and their sum."""
    if "failed" in found:
        return [f"  no profile: {found['failed']}"]
    rows = found["nodes"]
    total = sum(row["us"] for row in rows)
    shown = [f"{row['op']} {row['us']:.1f}" for row in rows]
    lines, line = [], "  nodes, µs:"
    for word in [*shown, f"sum {total:.1f}"]:
        if len(line) + len(word) > 96:
            lines.append(line)
            line = "   "
        line += f" {word};"
    return [*lines, line.rstrip(";")]


def whole(report: dict[str, Any]) -> str:
    """Everything that was found, in one table."""
    lines = ["npvae's step                 µs  ÷ best peer                              "
             "nodes  µs a node  launches  of the roofline"]  # fmt: skip
    for result in report["steps"]:
        row, s = summary(result), result["setting"]
        peer = on_gpu.SIDES[row["best_peer"]].label if "best_peer" in row else "no peer"
        lines.append(
            f"  {s['model']}, M = {s['M']:<5d} {s['precision']:8s}{shown(row, 'us', 9, 1)}"
            f"{shown(row, 'of_peer', 7)}  {peer:36s}{shown(row, 'nodes', 4, 0)}"
            f"{shown(row, 'us_a_node', 11)}{shown(row, 'launches_a_step', 10)}"
            f"{shown(row, 'of_roofline', 17)}"
        )
    lines += [f"failed in {name}: {why}" for name, part in report["parts"].items()
              for why in part["failed"]]  # fmt: skip
    lines.append("smoke test")
    lines += [f"  {name}: {smoke(found)}" for name, found in report["smoke"].items()]
    lines.append("checks")
    for name, found in (report["checks"] | {"tests": report["tests"]}).items():
        verdict = "passed" if found.get("passed") else "FAILED"
        lines.append(f"  {name:34s}{verdict}  {remark(found)}")
        lines += [f"    {failure}" for failure in found.get("failures", [])]
    if curve := report["curve"]:
        lines.append("figure 2, MNIST, J = 20" if curve.get("figure_2") else "no figure 2")
        if "failed" in curve:
            lines.append(f"  failed: {curve['failed']}")
        else:
            lines.append(
                f"  {curve['samples']:.3g} samples of {curve['data']} in {curve['seconds']:.1f} s; "
                f"training bound {curve['elbo'][-1]:.2f} nats, the paper's after 2.5e8 "
                f"{curve['published_elbo']}"
            )
    lines.append("goals")
    for row in report["goals"]:
        verdict = {True: "met", False: "MISSED", None: "not measured"}[row["met"]]
        value = "" if row["value"] is None else f"{row['value']:.4g}"
        lines.append(f"  {row['goal']:56s}{value:>9s}  {verdict}")
    return "\n".join(lines)


def shown(row: dict[str, Any], key: str, width: int, digits: int = 2) -> str:
    return f"{row[key]:{width}.{digits}f}" if key in row else f"{'–':>{width}s}"


def remark(found: dict[str, Any]) -> str:
    """A check's numbers in a few words."""
    if "failed" in found:
        return found["failed"]
    if "summary" in found:
        return found["summary"]
    sizes = {name: size for name, size in found.items() if name.startswith(("sgd", "adam"))}
    if sizes:
        return "; ".join(f"{name}: {size['largest']:.1e} at most, {size['beyond']} beyond 1e-4"
                         for name, size in sizes.items())  # fmt: skip
    if "grew" in found:
        grew = found["grew"]
        return (f"{found['steps']:,} steps: {grew['used_bytes']} B used, {grew['pool_bytes']} B "
                f"of the pool, {grew['host_mb']:.1f} MB of the host more")  # fmt: skip
    return ", ".join(f"{key} {value:.2g}" if isinstance(value, float) else f"{key} {value}"
                     for key, value in found.items() if key != "passed")  # fmt: skip
