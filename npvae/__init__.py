"""npvae: Auto-Encoding Variational Bayes from scratch, every gradient by hand."""
