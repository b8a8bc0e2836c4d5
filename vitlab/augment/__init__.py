"""Batched augmentation that runs where the images are."""
