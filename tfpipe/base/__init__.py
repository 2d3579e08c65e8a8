"""Files, seeds, the machine, progress: knows no pictures, models or runs."""
