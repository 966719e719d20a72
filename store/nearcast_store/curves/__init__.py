"""Position curves as fitted to the exploration share."""
