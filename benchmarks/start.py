"""Imported before anything else: this clone's npvae is the one that is measured.

So a benchmark measures the sources that it lies beside, whether or not npvae is installed.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
