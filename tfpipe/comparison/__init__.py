"""Many runs: side by side, without TensorFlow."""
