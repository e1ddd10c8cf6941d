"""From the files of a speech data set to a frame: `audio`, `text`, `speaker`, `part`.

`audio` is the path of each recording, `part` says whether it is of "train" or "test".
`grukit.data.recordings.recordings` takes such a frame as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from grukit.core.errors import DataError, must_be

if TYPE_CHECKING:
    import pandas

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEST_FILES = 5


def fsdd(folder: Path) -> pandas.DataFrame:
    """Single digits as words, by 6 speakers, WAV of 8 kHz; 5 of 50 of each are the test part."""
    import pandas as pd

    rows = []
    for file in (folder / "recordings").glob("*.wav"):
        digit, speaker, index = file.stem.split("_")
        part = "test" if int(index) < _TEST_FILES else "train"
        rows.append((str(file), _DIGITS[int(digit)], speaker, part, int(digit), int(index)))
    frame = pd.DataFrame(rows, columns=["audio", "text", "speaker", "part", "digit", "index"])
    frame = frame.sort_values(["part", "speaker", "digit", "index"], ignore_index=True)
    return frame.drop(columns=["digit", "index"])


def an4(folder: Path) -> pandas.DataFrame:
    """Spelled words, numbers and commands by 84 speakers, as 13 MFCC each 10 ms (read_features).

    The speakers of the two parts are different people; the order is that of the official lists.
    """
    import pandas as pd

    rows = []
    for part in ("test", "train"):
        files = (folder / "an4" / "etc" / f"an4_{part}.fileids").read_text("ascii").split()
        lines = (folder / "an4" / "etc" / f"an4_{part}.transcription").read_text("ascii")
        for file, line in zip(files, lines.splitlines(), strict=True):
            text, _, name = line.rpartition("(")
            if name.rstrip(")") != Path(file).name:
                raise DataError(must_be("the transcript", f"that of {file}", line))
            path = folder / "an4" / "feat" / f"{file}.mfc"
            rows.append((str(path), text.strip(), Path(file).parent.name, part))
    return pd.DataFrame(rows, columns=["audio", "text", "speaker", "part"])
