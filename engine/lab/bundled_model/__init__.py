"""How the bundled model is made: its tokenizer, corpus, training and measurements."""
