"""Bridges to other packages, one file each: the only files that import them. None is loaded by ``import deepgen``."""
