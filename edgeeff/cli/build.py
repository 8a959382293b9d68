"""edgeeff build: from a checkpoint to verified bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeeff.cli import console, tables, values


def command(
    target: Annotated[
        list[str], typer.Option("--target", "-t", help="A target, or its TOML file; repeatable.")
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="A network of `edgeeff models`. Default: the checkpoint says it."),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(help="Trained weights (.pt .safetensors .h5 .keras …), a .onnx, or module:callable."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Instead of --checkpoint: imagenet, or a repository of the Hugging Face hub."),
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="Images of your domain: folder, list file, .npz or recipe .toml.")
    ] = None,
    validation: Annotated[
        Path | None, typer.Option(help="Images to judge by. Default: a fifth of the calibration images.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Bundles go to OUTPUT/NAME-TARGET/.")] = Path(
        "dist"
    ),
    name: Annotated[str | None, typer.Option(help="Name of the bundles. Default: the model's.")] = None,
    size: Annotated[str | None, typer.Option(help="Input size, 224 or 192x256 (height x width).")] = None,
    mean: Annotated[
        str | None,
        typer.Option(help="Of the training, on pixels 0…255, if not the model's own: 127 or 124,116,104."),
    ] = None,
    std: Annotated[str | None, typer.Option(help="Likewise: 128 or 58,57,57.")] = None,
    crop: Annotated[
        float | None, typer.Option(help="Share of the resized photo that the centre crop keeps.")
    ] = None,
    interpolation: Annotated[str | None, typer.Option(help="Of the resize: bicubic or bilinear.")] = None,
    squash: Annotated[
        bool | None, typer.Option("--squash/--keep-ratio", help="Whether the resize may change the ratio.")
    ] = None,
    padding: Annotated[
        str | None, typer.Option(help="same (TensorFlow's) or symmetric. Default: the checkpoint's origin's.")
    ] = None,
    bn_epsilon: Annotated[
        float | None, typer.Option(help="Of batch normalisation. Default: likewise.")
    ] = None,
    trust_checkpoint: Annotated[
        bool, typer.Option(help="Run a checkpoint that is code: TorchScript, torch.export, module:callable.")
    ] = False,
    labels: Annotated[Path | None, typer.Option(help="Text file, one class a line.")] = None,
    io: Annotated[
        str | None, typer.Option(help="Input type: float32, uint8 or int8. Default: the target's.")
    ] = None,
    softmax: Annotated[bool, typer.Option(help="End in probabilities instead of logits.")] = False,
    count: Annotated[
        int | None,
        typer.Option(min=1, help="Images to use at most, a fifth of them to judge by. Default: 256."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the choice of calibration images.")] = None,
    effort: Annotated[
        str, typer.Option(help="Recipe of quantisation: fast, balanced, or a TOML file of your own.")
    ] = "balanced",
    ranges: Annotated[
        str | None,
        typer.Option(help="Instead of the recipe's: minmax, percentile, mse, weighted or entropy."),
    ] = None,
    keep_float: Annotated[
        str | None, typer.Option(help="Layers that stay float, by name or pattern: stem*,blocks.0.")
    ] = None,
    min_sqnr: Annotated[
        float | None, typer.Option(help="Keep the cheapest layers float that bring the logits to so many dB.")
    ] = None,
    max_drop: Annotated[
        str | None, typer.Option(help="Likewise, to lose at most so many points of top-1: 0.3pt.")
    ] = None,
    max_latency_cost: Annotated[
        str | None, typer.Option(help="The latency that float layers may add at most: 3%.")
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(help="Ranges of another tool: AIMET encodings, a TensorRT cache, or a Q/DQ .onnx."),
    ] = None,
    cpu_class: Annotated[str, typer.Option(help="auto, avx2, vnni, bf16 or arm.")] = "auto",
    golden: Annotated[int, typer.Option(min=0, help="Golden inputs that a bundle carries.")] = 4,
    force_calibration: Annotated[
        bool, typer.Option(help="Calibrate even with images that are mostly blank or noise.")
    ] = False,
    strict: Annotated[bool, typer.Option(help="Exit with status 1 if there was a warning.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Build a trained EfficientNet for one or several targets, from one calibration."""
    from edgeeff.pipeline import build

    with console.ConsoleProgress() as progress:
        built = build(
            model,
            targets=target,
            checkpoint=checkpoint,
            weights=weights,
            calibration=calibration,
            validation=validation,
            output=output,
            name=name,
            size=values.size(size) if size else None,
            mean=values.channels(mean) if mean else None,
            std=values.channels(std) if std else None,
            crop=crop,
            interpolation=interpolation,
            squash=squash,
            padding=padding,
            bn_epsilon=bn_epsilon,
            trust_checkpoint=trust_checkpoint,
            labels=labels,
            io=io,
            softmax=softmax,
            count=count,
            seed=seed,
            effort=effort,
            ranges=ranges,
            plan=plan,
            cpu_class=cpu_class,
            golden=golden,
            keep_float=values.names(keep_float) if keep_float else (),
            min_sqnr=min_sqnr,
            max_drop=max_drop,
            max_latency_cost=max_latency_cost,
            force_calibration=force_calibration,
            progress=progress,
        )
    if json:
        console.as_json([tables.built_json(b) for b in built])
    else:
        console.table(tables.built_table(built))
    for b in built:
        for warning in b.warnings:
            console.warn(f"{b.bundle.name}: {warning}")
    return 1 if strict and any(b.warnings for b in built) else 0
