"""What the chapters compute: data, training, sweeps over many seeds, scores, curves, figures and stored runs."""
