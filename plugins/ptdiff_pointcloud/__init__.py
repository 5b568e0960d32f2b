"""Point clouds: shapes as sets of points in space."""
