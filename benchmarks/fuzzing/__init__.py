"""What damaged and forged files are made of, and what must hold when npvae reads one.

================  =====================================================================
:mod:`.damage`    bytes changed at random: flips, cuts, splices, numbers that claim a lot
:mod:`.forgery`   sound files around a wrong value: zips with checksums, JSON, TOML, tables
:mod:`.targets`   the files, how npvae reads each, and what else it could rightly be read as
:mod:`.trial`     one mutant: what came of it, its time and its memory
================  =====================================================================
"""
