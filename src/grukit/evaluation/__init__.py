"""How good a forecast is: metrics, baselines, backtests."""
