"""From measured values to statements: means, intervals and comparisons."""
