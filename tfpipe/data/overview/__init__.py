"""A look at the data before training: report.html."""
