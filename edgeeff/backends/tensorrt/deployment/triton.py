"""Triton Inference Server: two model repositories, of the TensorRT engine and of the ONNX file.

The fields and their meaning were read in Triton's ``model_config.proto`` and manual; nothing here was run
on a server. A ``max_batch_size`` of 0 says that the dimensions are whole, with the batch of 1 among them.
"""

from __future__ import annotations

from edgeeff.backends.tensorrt.deployment import FOLDER, Deployment
from edgeeff.preprocess import CHANNELS

_TYPES = {"float32": "TYPE_FP32", "uint8": "TYPE_UINT8"}

#: For each platform: the repository, the model's file in it, what is copied there, and where it runs.
_REPOSITORIES = (
    (
        "tensorrt_plan",
        "tensorrt",
        "model.plan",
        "what build_engine.py --precision {precision} wrote to measured/",
        "GPU",
    ),
    ("onnxruntime_onnx", "onnxruntime", "model.onnx", "{graph}, to be run on the CPU", "CPU"),
)


def files(deployment: Deployment) -> dict[str, str]:
    """A ``config.pbtxt`` for TensorRT and one for onnxruntime, each with the labels beside it."""
    name, labels = deployment.emission.name, deployment.emission.labels
    found = {}
    for platform, repository, file, content, kind in _REPOSITORIES:
        folder = f"{FOLDER}/triton/{repository}/{name}"
        copied = content.format(graph=deployment.graph, precision=deployment.emission.target.precision)
        heading = [
            f"{deployment.title} for Triton Inference Server. NOT RUN on a server.",
            "",
            f"{FOLDER}/triton/{repository}/   tritonserver --model-repository={FOLDER}/triton/{repository}",
            f"  {deployment.title}/",
            "    config.pbtxt",
            *(["    labels.txt"] if labels else []),
            f"    1/{file}   copy it there: {copied}",
            "",
            *_input(deployment),
        ]
        found[f"{folder}/config.pbtxt"] = _config(deployment, platform, kind, heading)
        if labels:
            found[f"{folder}/labels.txt"] = "".join(f"{' '.join(label.split())}\n" for label in labels)
    return found


def _input(deployment: Deployment) -> list[str]:
    preprocess = deployment.emission.preprocess
    called = CHANNELS[preprocess.channels]
    resize = f"{preprocess.interpolation}, antialiased, centre crop {preprocess.crop:.3g}"
    if deployment.emission.target.input != "float32":
        return [f"The client sends raw {called} pixels, resized ({resize}), channels first."]
    mean, std = (" ".join(f"{v:g}" for v in values) for values in (preprocess.mean, preprocess.std))
    return [
        f"The client sends {called} pixels, resized ({resize}), channels first,",
        f"normalised: (pixel - mean) / std, with mean {mean} and std {std} on 0...255.",
    ]


def _config(deployment: Deployment, platform: str, kind: str, heading: list[str]) -> str:
    labels = '    label_filename: "labels.txt"\n' if deployment.emission.labels else ""
    return (
        "".join(f"# {line}".rstrip() + "\n" for line in heading)
        + f"""
name: {_quoted(deployment.emission.name)}
platform: "{platform}"
max_batch_size: 0
input [
  {{
    name: {_quoted(deployment.input_name)}
    data_type: {_TYPES[deployment.emission.target.input]}
    dims: [ {", ".join(map(str, deployment.shape))} ]
  }}
]
output [
  {{
    name: {_quoted(deployment.output_name)}
    data_type: TYPE_FP32
    dims: [ 1, {deployment.classes} ]
{labels}  }}
]
instance_group [
  {{
    count: 1
    kind: KIND_{kind}
  }}
]
"""
    )


def _quoted(text: str) -> str:
    r"""As protobuf's text format wants a string: quotes, backslashes and control characters escaped."""
    octal = "".join(f"\\{ord(c):03o}" if ord(c) < 32 or c in '"\\\x7f' else c for c in text)
    return f'"{octal}"'
