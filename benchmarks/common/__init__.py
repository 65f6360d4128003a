"""What benchmarks share. Imported before anything else: this clone's npvae is the one measured.

So a benchmark measures the sources that it lies beside, whether or not npvae is installed.
"""
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
