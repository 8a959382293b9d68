"""The float graph: exported from torch, rewritten by exact passes, executed by one interpreter."""
