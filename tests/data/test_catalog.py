from __future__ import annotations

import dataclasses
import gzip
import hashlib

import pandas as pd
import pytest

from grukit.core.errors import DataError, DownloadError
from grukit.data import catalog, loaders

CONTENT = b"date,OT\n2016-07-01 00:00:00,30.5\n2016-07-01 01:00:00,27.75\n"


@pytest.fixture(autouse=True)
def no_real_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("GRUKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GRUKIT_DATA", raising=False)


@pytest.fixture
def tiny(monkeypatch):
    """The catalog with one small set in it, that can be had nowhere."""
    dataset = dataclasses.replace(
        catalog.find("etth1"),
        name="tiny",
        path="some/tiny.csv",
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        url=None,
    )
    monkeypatch.setattr(catalog, "_DATA_SETS", (dataset,))
    return dataset


def put(folder, content=CONTENT):
    file = folder / "some" / "tiny.csv"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    return file


def replace(monkeypatch, dataset, **changes):
    monkeypatch.setattr(catalog, "_DATA_SETS", (dataclasses.replace(dataset, **changes),))


def test_records_are_complete_and_distinct():
    sets = catalog.available()
    assert len({dataset.name for dataset in sets}) == len(sets)
    assert len({dataset.path for dataset in sets}) == len(sets)
    for dataset in sets:
        assert dataset.licence
        assert dataset.origin
        assert dataset.url or dataset.package, f"{dataset.name} can be had nowhere"
        assert dataset.size > 0
        assert len(bytes.fromhex(dataset.sha256)) == 32
        assert not dataset.path.startswith("/")
        if dataset.url:
            assert dataset.url.startswith("https://")
        assert dataset.size == sum(file.size for file in dataset.files)


def test_unknown_name_names_the_closest():
    with pytest.raises(DataError, match="got 'nyc_wether'; did you mean 'nyc_weather'"):
        catalog.find("nyc_wether")
    with pytest.raises(DataError, match=r"must be one of nyc_weather, .*, got 'zzz'$"):
        catalog.find("zzz")


def test_local_folder_comes_before_cache_before_package(monkeypatch, tmp_path, tiny):
    package = put(tmp_path / "package")
    monkeypatch.setattr(catalog.Package, "installed_file", lambda self: package)
    replace(monkeypatch, tiny, package=catalog.Package("p", "1", "p/x"))
    assert catalog.locate("tiny") == catalog.Copy("package", package)
    cached = put(tmp_path / "cache" / "data")
    assert catalog.locate("tiny") == catalog.Copy("cache", cached)
    local = put(tmp_path / "local")
    monkeypatch.setenv("GRUKIT_DATA", str(tmp_path / "local"))
    assert catalog.locate("tiny") == catalog.Copy("local folder", local)
    assert catalog.path("tiny") == local


def test_missing_set_says_every_way_to_get_it(monkeypatch, tiny):
    assert catalog.locate("tiny") is None
    replace(
        monkeypatch,
        tiny,
        url="https://127.0.0.1:9/x",
        package=catalog.Package("no-such-package-at-all", "1.2", "x"),
    )
    with pytest.raises(DataError) as caught:
        catalog.path("tiny")
    for way in (
        "some/tiny.csv",
        "GRUKIT_DATA",
        "pip install no-such-package-at-all==1.2",
        "grukit data fetch tiny",
    ):
        assert way in str(caught.value)


def test_set_without_download_says_how_else(tiny):
    with pytest.raises(DownloadError, match=r"has no download; put the file at some/tiny\.csv"):
        catalog.fetch("tiny")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONTENT[:-1], f"its size in bytes must be {len(CONTENT)}, got '?{len(CONTENT) - 1}"),
        (CONTENT.replace(b"30.5", b"30.6"), "its sha256 must be"),
    ],
)
def test_damaged_local_copy_is_refused(monkeypatch, tmp_path, tiny, content, message):
    file = put(tmp_path / "local", content)
    monkeypatch.setenv("GRUKIT_DATA", str(tmp_path / "local"))
    for use in (catalog.path, catalog.fetch, catalog.load):
        with pytest.raises(DataError, match=message) as caught:
            use("tiny")
        assert str(file) in str(caught.value)
        assert "remove it" in str(caught.value)


def test_other_version_of_a_package_says_which_one_to_install(monkeypatch, tmp_path, tiny):
    file = put(tmp_path / "package", b"another")
    monkeypatch.setattr(catalog.Package, "installed_file", lambda self: file)
    replace(monkeypatch, tiny, package=catalog.Package("somedata", "1.2", "x"))
    with pytest.raises(DataError, match=r"install somedata==1\.2"):
        catalog.path("tiny")


def test_fetch_downloads_into_the_cache_and_only_once(monkeypatch, tmp_path, tiny):
    calls = []

    def download(url, target, *, size, sha256, progress):
        calls.append((url, size, sha256))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(CONTENT)
        return target

    monkeypatch.setattr(catalog, "download", download)
    replace(monkeypatch, tiny, url="https://example.org/tiny.csv")
    expected = tmp_path / "cache" / "data" / "some" / "tiny.csv"
    assert catalog.fetch("tiny") == expected
    assert catalog.fetch("tiny") == expected
    assert calls == [("https://example.org/tiny.csv", tiny.size, tiny.sha256)]
    expected.write_bytes(b"damaged")
    assert catalog.fetch("tiny") == expected
    assert expected.read_bytes() == CONTENT


def test_fetch_into_a_folder_makes_it_a_local_folder(monkeypatch, tmp_path, tiny):
    put(tmp_path / "cache" / "data")
    target = catalog.fetch("tiny", tmp_path / "mine")
    assert target == tmp_path / "mine" / "some" / "tiny.csv"
    assert target.read_bytes() == CONTENT
    monkeypatch.setenv("GRUKIT_DATA", str(tmp_path / "mine"))
    assert catalog.locate("tiny") == catalog.Copy("local folder", target)


def test_offline_failure_says_what_else_to_do(monkeypatch, tiny):
    def download(url, target, **wanted):
        raise DownloadError(f"cannot download {url}: no network")

    monkeypatch.setattr(catalog, "download", download)
    replace(monkeypatch, tiny, url="https://example.org/tiny.csv")
    with pytest.raises(DownloadError) as caught:
        catalog.fetch("tiny")
    assert "https://example.org/tiny.csv: no network" in str(caught.value)
    assert "GRUKIT_DATA" in str(caught.value)


def test_load_gives_a_long_frame(monkeypatch, tmp_path, tiny):
    put(tmp_path / "cache" / "data")
    frame = catalog.load("tiny")
    assert list(frame.columns) == ["unique_id", "ds", "OT"]
    assert frame["ds"].tolist() == [pd.Timestamp("2016-07-01 00:00"), pd.Timestamp("2016-07-01 01")]
    assert frame["OT"].tolist() == [30.5, 27.75]


def test_package_file_is_found_without_importing_it():
    package = catalog.Package("pytest", "x", "pytest/py.typed")
    file = package.installed_file()
    assert file is not None
    assert file.is_file()
    assert catalog.Package("pytest", "x", "pytest/no_such_file").installed_file() is None


def load_text(name, tmp_path, text):
    file = tmp_path / "raw"
    file.write_bytes(gzip.compress(text.encode()) if name in ZIPPED else text.encode())
    if name in ZIPPED:
        file = file.rename(tmp_path / "raw.csv.gz")
    return catalog.find(name).loader(file)


ZIPPED = ("sp500", "nasdaq", "sp500_stocks")


def test_nyc_weather_has_metric_units_and_utc(tmp_path):
    frame = load_text(
        "nyc_weather",
        tmp_path,
        "origin,year,month,day,hour,temp,dewp,humid,wind_dir,wind_speed,wind_gust,precip,"
        "pressure,visib,time_hour\n"
        "JFK,2013,1,1,1,50,32,59.37,270,10,NA,0.5,NA,10,2013-01-01T06:00:00Z\n"
        "EWR,2013,2,12,3,NA,32,60,NA,1048.36058,NA,0,1012,10,2013-02-12T08:00:00Z\n",
    )
    newark, kennedy = frame.iloc[0], frame.iloc[1]
    assert frame["unique_id"].tolist() == ["EWR", "JFK"]
    assert kennedy["ds"] == pd.Timestamp("2013-01-01 06:00")
    assert kennedy["temperature"] == pytest.approx(10.0)
    assert kennedy["dew_point"] == pytest.approx(0.0)
    assert kennedy["wind_speed"] == pytest.approx(4.4704)
    assert kennedy["precipitation"] == pytest.approx(12.7)
    assert kennedy["visibility"] == pytest.approx(16.09344)
    assert pd.isna(kennedy["pressure"])
    assert pd.isna(newark["temperature"])
    assert pd.isna(newark["wind_speed"]), "1,048 mph is not wind"


def test_beijing_time_is_put_together_and_direction_is_a_category(tmp_path):
    frame = load_text(
        "beijing_pm25",
        tmp_path,
        "No,year,month,day,hour,pm2.5,DEWP,TEMP,PRES,cbwd,Iws,Is,Ir\n"
        "1,2010,1,1,23,NA,-21,-11,1021,NW,1.79,0,0\n"
        "2,2010,1,2,0,129,-16,-4,1020,cv,1.79,0,1\n",
    )
    assert frame["ds"].tolist() == [pd.Timestamp("2010-01-01 23:00"), pd.Timestamp("2010-01-02")]
    assert pd.isna(frame["pm2.5"][0])
    assert frame["pm2.5"][1] == 129.0
    assert frame["temperature"].tolist() == [-11.0, -4.0]
    assert list(frame["wind_direction"].cat.categories) == ["NW", "cv"]


def test_seattle_days(tmp_path):
    frame = load_text(
        "seattle_weather",
        tmp_path,
        "date,precipitation,temp_max,temp_min,wind,weather\n2012/01/02,10.9,10.6,2.8,4.5,rain\n",
    )
    assert frame["ds"][0] == pd.Timestamp("2012-01-02")
    assert frame["temperature_max"][0] == 10.6
    assert frame["weather"][0] == "rain"


def test_index_days_are_month_first(tmp_path):
    frame = load_text(
        "sp500",
        tmp_path,
        "Date,Open,High,Low,Close,Adj Close,Volume\n"
        "1/4/1999,1229.2,1248.8,1219.0,1228.1,1228.1,877000000\n",
    )
    assert frame["ds"][0] == pd.Timestamp(1999, 1, 4)
    assert frame["close"][0] == 1228.1
    assert frame["unique_id"][0] == "S&P 500"


def test_stocks_become_one_series_each(tmp_path):
    frame = load_text(
        "sp500_stocks", tmp_path, "Date,AMD,AAPL\n1990-01-02,4.125,0.264\n1990-01-03,4.0,0.266\n"
    )
    assert frame["unique_id"].tolist() == ["AAPL", "AAPL", "AMD", "AMD"]
    assert frame["close"].tolist() == [0.264, 0.266, 4.125, 4.0]


def test_stocknet_takes_symbols_from_names_of_files(tmp_path):
    (tmp_path / "price" / "raw").mkdir(parents=True)
    (tmp_path / "StockTable").write_text(
        "Sector\tSymbol\tCompany\nServices\t$AMZN\tAmazon\nTechnology\t$T\tAT&T\n"
    )
    for symbol, volume in (("T", "5"), ("AMZN", "null")):
        (tmp_path / "price" / "raw" / f"{symbol}.csv").write_text(
            f"Date,Open,High,Low,Close,Adj Close,Volume\n2012-09-04,1.0,4.0,0.5,2.0,1.5,{volume}\n"
        )
    frame = catalog.find("stocknet").loader(tmp_path)
    assert frame["unique_id"].tolist() == ["AMZN", "T"]
    assert frame["sector"].tolist() == ["Services", "Technology"]
    assert frame["ds"][0] == pd.Timestamp("2012-09-04")
    assert frame.iloc[1, 2:8].tolist() == [1.0, 4.0, 0.5, 2.0, 1.5, 5.0]
    assert pd.isna(frame["volume"][0])


def test_nab_keeps_the_rows_as_they_are_and_marks_the_windows(tmp_path):
    (tmp_path / "data" / "real").mkdir(parents=True)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "combined_windows.json").write_text(
        '{"real/b.csv": [["2014-01-01 00:10:00.000000", "2014-01-01 00:15:00.000000"]],'
        ' "real/a.csv": []}'
    )
    minutes = (5, 10, 15, 15, 0)
    for series in "ab":
        rows = "".join(f"2014-01-01 00:{minute:02}:00,{minute}\n" for minute in minutes)
        (tmp_path / "data" / "real" / f"{series}.csv").write_text(f"timestamp,value\n{rows}")
    frame = catalog.find("nab").loader(tmp_path)
    assert frame["unique_id"].tolist() == ["real/a"] * 5 + ["real/b"] * 5
    assert frame["ds"].dt.minute.tolist() == [*minutes, *minutes]
    assert frame["y"].tolist() == [*minutes, *minutes]
    assert frame["anomaly"].tolist() == [False] * 6 + [True] * 3 + [False]


def test_a_text_has_no_table():
    with pytest.raises(DataError, match="tinyshakespeare is a text, not a table"):
        catalog.load("tinyshakespeare")


@pytest.mark.parametrize("name", ["tinyshakespeare"])
def test_the_real_text_where_it_is_present(name, real_data):
    text = catalog.fetch(name).read_text(encoding="utf-8")
    assert (len(text), len(set(text))) == (1_115_394, 65)


@pytest.mark.parametrize(
    "name",
    [d.name for d in catalog.available() if d.loader and d.loader.__module__ == loaders.__name__],
)
def test_the_real_set_where_it_is_present(name, monkeypatch, real_data):
    frame = catalog.load(name)
    assert list(frame.columns[:2]) == ["unique_id", "ds"]
    if name == "nab":
        assert frame["unique_id"].is_monotonic_increasing
    else:
        assert not frame.duplicated(["unique_id", "ds"]).any()
        assert frame.equals(frame.sort_values(["unique_id", "ds"], ignore_index=True))
    assert frame["ds"].dt.tz is None
    assert len(frame) == ROWS[name]


ROWS = {
    "nyc_weather": 26_115,
    "beijing_pm25": 43_824,
    "etth1": 17_420,
    "seattle_weather": 1_461,
    "sp500": 5_031,
    "nasdaq": 5_031,
    "sp500_stocks": 166_260,
    "stocknet": 108_592,
    "nab": 365_558,
}


@pytest.fixture
def real_data(monkeypatch, name):
    monkeypatch.undo()
    if catalog.locate(name) is None:
        pytest.skip(f"{name} is not on this machine")
