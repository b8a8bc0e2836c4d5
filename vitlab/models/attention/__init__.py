"""Attention: how the tokens look at each other, one file for each idea."""
