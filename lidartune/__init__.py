"""Does pretraining on synthetic LiDAR scans help on real ones, and if not, why not?"""

__version__ = "0.1.0"
