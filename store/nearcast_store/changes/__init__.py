"""What the index must hear of the catalogue."""
