"""The pip command that brings an extra, or a newer npvae, from where this one came.

npvae may run from a clone, have been installed from one or from a repository's address, or have
come from a package index. A hint has to work in each case: ``pip install 'npvae[plot]'`` does not
where no index has npvae.
"""
from pathlib import Path

ROOT = Path(__file__).parents[1]  # the clone, or site-packages


def command(extra: str) -> str:
    """The command that installs an extra.

    Parameters
    ----------
    extra : str
        As pyproject.toml has it, e.g. ``"plot"``.
    """
    origin = source()
    if origin.startswith("git+"):
        return f"pip install 'npvae[{extra}] @ {origin}'"
    return f"pip install '{origin}[{extra}]'"


def repair(package: str) -> str:
    """The command that mends a package, by the name that it is imported by."""
    from importlib.metadata import packages_distributions

    name = packages_distributions().get(package, [package])[0]  # PIL is pillow
    return f"pip install --upgrade --force-reinstall {name}"


def update() -> str:
    """The command that brings a newer npvae."""
    origin = source()
    if origin == "npvae" or origin.startswith("git+"):
        return f"pip install --upgrade '{origin}'"
    pull = "git pull" if origin == "." else f"git -C '{origin}' pull"
    return f"{pull} && pip install '{origin}'"


def source() -> str:
    """What pip calls the place that npvae came from: a folder, an address or ``npvae``."""
    folder = ROOT
    if not (ROOT / "pyproject.toml").is_file():
        origin = recorded()
        url = origin.get("url", "")
        if "vcs_info" in origin:
            return f"{origin['vcs_info']['vcs']}+{url}"
        folder = Path(url.removeprefix("file://"))
        if not (url.startswith("file://") and (folder / "pyproject.toml").is_file()):
            return "npvae"
    return "." if folder == Path.cwd() else str(folder)


def recorded() -> dict:
    """What pip wrote down of an installation that is of no index (PEP 610)."""
    import json
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        return json.loads(distribution("npvae").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return {}
