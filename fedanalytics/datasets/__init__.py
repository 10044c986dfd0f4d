"""Data of many clients: real and synthetic sets to try things on, and readers of the formats that users bring.

Enters: functions that read or make data whose clients are known, as numpy arrays by client (`ClientDatasets`) or as a
path that a fleet opens like any other (`aircraft`), and partitioners for data that have no clients. Stays out: fleets,
queries, models and their libraries.

>>> from fedanalytics import datasets
>>> train, test = datasets.digits().split(by="client", test=0.2, seed=0)
>>> train, test
(ClientDatasets(9 clients, 1,167 examples), ClientDatasets(5 clients, 630 examples))
>>> features, labels = train.dataset("block-00") if "block-00" in train.client_ids else test.dataset("block-00")
>>> features.shape, features.dtype, labels[:5]
((130, 8, 8), dtype('float32'), array([0, 1, 2, 3, 4]))
"""

from fedanalytics.datasets import partition
from fedanalytics.datasets.aircraft import aircraft
from fedanalytics.datasets.characters import LEAF_CHARACTERS, characters
from fedanalytics.datasets.clients import ClientDatasets, from_clients, from_partition
from fedanalytics.datasets.digits import digits
from fedanalytics.datasets.idx import fashion_mnist, from_idx
from fedanalytics.datasets.leaf import from_leaf
from fedanalytics.datasets.tables import from_table
from fedanalytics.datasets.tf_examples import decode_example, encode_example
from fedanalytics.datasets.tff_hdf5 import from_tff_hdf5
from fedanalytics.datasets.tff_sqlite import from_tff_sqlite, write_tff_sqlite
from fedanalytics.datasets.writers import synthetic_writers

__all__ = [
    "LEAF_CHARACTERS",
    "ClientDatasets",
    "aircraft",
    "characters",
    "decode_example",
    "digits",
    "encode_example",
    "fashion_mnist",
    "from_clients",
    "from_idx",
    "from_leaf",
    "from_partition",
    "from_table",
    "from_tff_hdf5",
    "from_tff_sqlite",
    "partition",
    "synthetic_writers",
    "write_tff_sqlite",
]
