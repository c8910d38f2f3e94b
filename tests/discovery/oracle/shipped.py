"""Constants: the grid, and `gates.yaml` as shipped."""
import numpy as np

BAR, DAY = 300_000, 86_400_000
BARS = {"5m": 1, "15m": 3, "60m": 12, "4h": 48}
# gates.yaml as shipped
RHO, RESERVE, DECAY, PRIOR = 10.0, 0.99, 0.98, 5.0
SYM_W = {"follow": 0.5, "fade": 0.0}
BETS = {"follow": np.array([0.05, 0.08, 0.12, 0.17, 0.24]), "fade": np.array([0.13])}
WIDE, ORDER = 0.5, 0.5
DEFAULT_SIGMA, DEFAULT_COST, ALPHA = 0.002, 12.0, 0.1
CAP, FLOOR, SHARE, HISTORY, LEAST_HISTORY, COST_TO_MOVE, POOL_WEIGHT = 12.0, 1e-5, 0.2, 32, 5, 1.0, 4.0
LEAST_EVENTS, LEAST_DAYS = 50, 30
Q = 0.05
