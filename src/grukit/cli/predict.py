"""grukit predict: what a trained model says of data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grukit.cli.options import Config, Json, only, option, read_data
from grukit.cli.output import check_output, say, show, show_json, write_answer
from grukit.cli.predict_speech import SUFFIXES as SPEECH_SUFFIXES
from grukit.cli.predict_speech import listen, recordings_of, transcribe
from grukit.cli.predict_text import (
    interpret,
    judge,
    lines_of,
    texts_to_judge,
    write,
    write_likeliest,
)
from grukit.cli.predict_words import recognize, spotter
from grukit.cli.speech_options import HotWords, Language, decoder_of
from grukit.cli.training import Seed

# Of a writer: the rules of `grukit.decoding.sampling.Sampling`.
_SAMPLING = (
    *("temperature", "top_k", "top_p", "min_p", "typical"),
    *("repetition_penalty", "presence_penalty", "no_repeat_ngram"),
)
# What each task takes besides MODEL and --config.
_TAKEN = {
    "forecast": ("data", "future", "paths", "output", "plot", "json"),
    "anomaly": ("data", "goes_on", "output", "plot", "json"),
    "generation": (
        *("data", "prompt", "length", "samples", *_SAMPLING, "stop", "seed", "stream", "beam"),
        "json",
    ),
    "classification": ("data", "json"),
    "translation": ("data", "beam", "glossary", "prefix", "plot", "json"),
    "speech": (
        *("data", "stream", "mic", "rate", "beam", "language", "hot_word", "threshold", "spot"),
        *("adapt", "output", "plot", "json"),
    ),
}
_TAKEN_WITH_BEAM = ("data", "prompt", "length", "samples", "beam", "json")
_TAKEN_LIVE = ("stream", "mic", "rate", "beam", "language", "hot_word", "threshold", "json")
_TAKEN_OF_WORDS = ("data", "threshold", "spot", "adapt", "output", "plot", "json")
_WRITTEN = (".csv", ".parquet", ".json")


def predict(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The model folder.")],
    data: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DATA",
            help="A CSV or Parquet file with the columns of the training data, or a name from "
            "grukit data list: for a forecast what is known so far, by default the training data; "
            "for a detector of anomalies the rows to judge. For a writer of text the prompts, one "
            "in each line of a file, or of stdin; for a judge of texts or a translator so the "
            "texts, for a judge also a table that has a column of them. For a recognizer of speech "
            "audio files, folders of them, and tables with a column of their paths.",
        ),
    ] = None,
    future: Annotated[
        Path | None,
        option(
            metavar="FILE",
            help="Of a forecaster: a CSV or Parquet file with the known-future covariates of the "
            "steps to come.",
        ),
    ] = None,
    goes_on: Annotated[
        bool,
        option(
            "--goes-on",
            help="Of a detector: the rows follow those of the training. By default they are a new "
            "stream, whose first rows have nothing to be compared with.",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the result to a .csv, .parquet or .json file instead of stdout; of speech "
            "to .txt, .json, or as subtitles to .srt or .vtt.",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        option(
            metavar="FILE",
            help="Draw the result into a .png, .svg or .pdf file, or an interactive .html page; of "
            "a translator where in its text it looked; of speech the spectrogram with the words.",
        ),
    ] = None,
    paths: Annotated[
        int | None,
        option(
            min=1,
            metavar="COUNT",
            help="Simulate so many possible futures of each series, whose steps belong together, "
            "in the place of quantiles.",
        ),
    ] = None,
    prompt: Annotated[
        str | None,
        option(metavar="TEXT", help="Of a writer of text: what to go on from, in place of DATA."),
    ] = None,
    length: Annotated[
        int, option(min=0, metavar="TOKENS", help="Of a writer: the most to write.")
    ] = 500,
    samples: Annotated[
        int, option(min=1, metavar="COUNT", help="Of a writer: texts for each prompt.")
    ] = 1,
    temperature: Annotated[
        float,
        option(
            min=0.0,
            metavar="FACTOR",
            help="Of a writer: the higher, the bolder; 0 takes the likeliest.",
        ),
    ] = 1.0,
    top_k: Annotated[
        int | None,
        option(min=1, metavar="TOKENS", help="Of a writer: choose among so many, the likeliest."),
    ] = None,
    top_p: Annotated[
        float | None,
        option(metavar="SHARE", help="Of a writer: choose among the likeliest that share this."),
    ] = None,
    min_p: Annotated[
        float | None,
        option(
            metavar="SHARE",
            help="Of a writer: choose among those with this share of the highest chance.",
        ),
    ] = None,
    typical: Annotated[
        float | None,
        option(
            metavar="SHARE",
            help="Of a writer: choose among those of about the mean surprise that share this.",
        ),
    ] = None,
    repetition_penalty: Annotated[
        float,
        option(metavar="FACTOR", help="Of a writer: above 1, what there was comes less often."),
    ] = 1.0,
    presence_penalty: Annotated[
        float,
        option(metavar="LOGIT", help="Of a writer: taken from the logit of what there was."),
    ] = 0.0,
    no_repeat_ngram: Annotated[
        int | None,
        option(min=1, metavar="TOKENS", help="Of a writer: no sequence of so many comes twice."),
    ] = None,
    stop: Annotated[
        list[str] | None,
        option(metavar="TEXT", help="Of a writer: what ends it, and is left out. Repeatable."),
    ] = None,
    beam: Annotated[
        int | None,
        option(
            min=1,
            metavar="COUNT",
            help="Of a translator: candidates followed side by side, by default 5; --json tells "
            "them. Of a writer: so too, for the likeliest texts in place of drawn ones. Of a "
            "recognizer of speech: so too, by default 16 where something helps it, else 1.",
        ),
    ] = None,
    glossary: Annotated[
        Path | None,
        option(
            metavar="FILE",
            help="Of a translator: a .csv, .tsv, .jsonl or .parquet file with the columns source "
            "and target: what must be said where a text has a phrase.",
        ),
    ] = None,
    prefix: Annotated[
        str,
        option(metavar="TEXT", help="Of a translator: what each translation must begin with."),
    ] = "",
    seed: Seed = 0,
    stream: Annotated[
        bool,
        option(
            "--stream",
            help="Of a writer: print the text while it is written. Of a recognizer of speech: "
            "listen to raw PCM from stdin, of 16 bits, little-endian, one channel.",
        ),
    ] = False,
    mic: Annotated[
        bool, option("--mic", help="Of a recognizer of speech: listen to the microphone.")
    ] = False,
    rate: Annotated[
        int | None,
        option(
            min=1,
            metavar="HZ",
            help="Of live sound: its samples in a second. By default those of the training.",
        ),
    ] = None,
    language: Language = None,
    hot_word: HotWords = None,
    threshold: Annotated[
        float,
        option(
            min=0.0,
            max=1.0,
            metavar="CHANCE",
            help="Of a recognizer of words: what is less likely is none of them.",
        ),
    ] = 0.5,
    spot: Annotated[
        bool,
        option(
            "--spot",
            help="Of a recognizer of words: find all words in recordings of any length, with their "
            "times.",
        ),
    ] = False,
    adapt: Annotated[
        bool,
        option(
            "--adapt",
            help="Of a recognizer of words that was trained with --speaker: all recordings are of "
            "one voice and microphone, which it adapts to first.",
        ),
    ] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Forecast past the end of the data, find anomalies, write and judge texts, recognize speech.

    Prints CSV. Of a forecast: series, time, the median under the name of the target, and each
    quantile; of simulated paths the number of the path. Of anomalies: time, score, threshold,
    alarm, and the share of each channel in the score. A writer prints text, with --json one object
    for each, and needs no more time for a token at the end of a long text than at its beginning. A
    judge of texts prints for each line, as it comes, the label, its chance and the text, a
    translator the translation. A recognizer of speech prints what is said, of several recordings
    after the name of each; of live sound a line for each pause, with --json also what may change.
    One of words prints the word and its chance, or of each that it finds start, end, word and
    chance.
    """
    if paths and plot:
        raise typer.BadParameter("--plot draws quantiles, not --paths: give one of them")
    check_output(output, tuple(dict.fromkeys((*_WRITTEN, *SPEECH_SUFFIXES))))
    from grukit.plots.style import SUFFIXES

    check_output(plot, SUFFIXES)
    from grukit.tasks.base import load_model

    estimator = load_model(model)
    only(context, estimator.task, *_TAKEN[estimator.task])
    if estimator.task == "speech":
        check_output(output, SPEECH_SUFFIXES)
        if stream or mic:
            if stream and mic:
                raise typer.BadParameter("--stream reads stdin, --mic a microphone: give one")
            only(context, "speech with --stream or --mic", *_TAKEN_LIVE)
            decoder = decoder_of(estimator, beam, language, hot_word)
            final = None if estimator.mode == "text" else spotter(threshold, json)
            listen(estimator, decoder, rate, mic, json, final)
        elif not data:
            raise typer.BadParameter("a recognizer of speech takes DATA, --stream or --mic")
        elif rate is not None:
            raise typer.BadParameter("--rate is for --stream and --mic: files tell theirs")
        else:
            recordings = recordings_of(data, estimator.audio)
            if adapt:
                estimator = estimator.adapted([path for _, path in recordings])
            if estimator.mode == "words":
                only(context, "speech in words", *_TAKEN_OF_WORDS)
                recognize(estimator, recordings, threshold, spot, output, plot, json)
                return
            decoder = decoder_of(estimator, beam, language, hot_word)
            transcribe(estimator, decoder, recordings, output, plot, json)
        return
    check_output(output, _WRITTEN)
    if data and len(data) > 1:
        raise typer.BadParameter(f"a model of task {estimator.task!r} takes one DATA, got {data}")
    source = data[0] if data else None
    if estimator.task == "generation":
        from grukit.decoding.sampling import Sampling

        prompts = lines_of(source) if prompt is None else iter((prompt,))
        if beam is not None:
            only(context, "generation with --beam", *_TAKEN_WITH_BEAM)
            write_likeliest(estimator, prompts, beam, samples, length, json)
            return
        rules = Sampling(
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            typical=typical,
            repetition_penalty=repetition_penalty,
            presence_penalty=presence_penalty,
            no_repeat_ngram=no_repeat_ngram,
        )
        options = {"length": length, "stop": tuple(stop or ()), "seed": seed, "sampling": rules}
        write(estimator, prompts, samples, stream, json, **options)
        return
    if estimator.task == "classification":
        judge(estimator, texts_to_judge(estimator, source), json)
        return
    if estimator.task == "translation":
        interpret(estimator, source, beam or 5, glossary, prefix, plot, json)
        return
    known = None if source is None else read_data(source)
    if estimator.task == "anomaly":
        if known is None:
            raise typer.BadParameter("a detector of anomalies takes DATA")
        answer = estimator.detect(known, goes_on=goes_on)
    elif paths:
        answer = estimator.simulate(known, future, paths=paths)
    else:
        answer = estimator.predict(known, future)
    if estimator.task == "forecast" and answer.report:
        say(f"data: {answer.report}")
    if output:
        write_answer(answer, output)
        say(f"wrote {output}")
    if plot:
        estimator.plot(answer, known).save(plot)
        say(f"wrote {plot}")
    if json:
        show_json(answer.to_dict())
    elif not output:
        show(answer.to_frame().to_csv(index=False).rstrip("\n"))
