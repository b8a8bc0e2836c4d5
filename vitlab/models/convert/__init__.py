"""Weights to and from timm, torchvision and Hugging Face."""

from vitlab.models.convert.load import load_weights as load_weights
