"""Files -> points and classes: scan files, datasets, taxonomies and what training must know of them."""

from lidartune.scans.catalogue import built_in_taxonomies, load_taxonomy
from lidartune.scans.chain import compose
from lidartune.scans.classes import CLASS_COLORS, CLASS_NAMES, NUM_CLASSES
from lidartune.scans.dataset import Dataset, ScanFile, fingerprint, open_dataset, spread
from lidartune.scans.files import check_scan, read_labels, read_points, read_scan, write_labels, write_points
from lidartune.scans.label_shift import LabelShift, in_words, label_shift
from lidartune.scans.statistics import canvas_statistics, class_counts, class_weights
from lidartune.scans.taxonomy import Taxonomy

__all__ = [
    "CLASS_COLORS",
    "CLASS_NAMES",
    "NUM_CLASSES",
    "Dataset",
    "LabelShift",
    "ScanFile",
    "Taxonomy",
    "built_in_taxonomies",
    "canvas_statistics",
    "check_scan",
    "class_counts",
    "class_weights",
    "compose",
    "fingerprint",
    "in_words",
    "label_shift",
    "load_taxonomy",
    "open_dataset",
    "read_labels",
    "read_points",
    "read_scan",
    "spread",
    "write_labels",
    "write_points",
]
