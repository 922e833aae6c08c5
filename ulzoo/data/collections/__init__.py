"""Places that hold pictures, one file for each format."""
