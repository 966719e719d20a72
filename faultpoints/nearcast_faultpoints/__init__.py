"""Where a process can be made to fail on purpose: named places that do nothing unless armed."""
