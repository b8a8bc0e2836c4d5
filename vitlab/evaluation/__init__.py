"""What a trained model can do: measures, calibration, robustness, and the report that shows them."""
