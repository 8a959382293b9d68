"""The header that edgeeff inspect --c-header writes: C99 and C++ read it, and find what the bundle says."""

from __future__ import annotations

import json
import subprocess

import pytest
from typer.testing import CliRunner

from edgeeff import c_header
from edgeeff.bundle import Bundle
from edgeeff.cli import application
from edgeeff.errors import BundleError, OutputError

#: Prints the constants one a line, and every array.
PROGRAM = """
#include <stdio.h>
#include "bundle.h"
int main(void) {
    int i, j;
    printf("%s|%s|%s|%s|%s\\n", EDGEEFF_NAME, EDGEEFF_DIGEST, EDGEEFF_RUNTIME, EDGEEFF_TASK, EDGEEFF_FILE);
    printf("%d %d %d ", EDGEEFF_HEIGHT, EDGEEFF_WIDTH, EDGEEFF_CHANNELS);
    printf("%d %d\\n", EDGEEFF_BATCH, EDGEEFF_CHANNELS_FIRST);
    for (i = 0; i < EDGEEFF_CHANNELS; ++i)
        printf("%.9g %.9g %d\\n", edgeeff_mean[i], edgeeff_std[i], edgeeff_fill[i]);
    for (i = 0; i < EDGEEFF_OUTPUTS; ++i) {
        printf("%s %s %s", edgeeff_outputs[i].name, edgeeff_outputs[i].meaning, edgeeff_outputs[i].type);
        for (j = 0; j < edgeeff_outputs[i].dimensions; ++j) printf(" %d", edgeeff_outputs[i].shape[j]);
        printf("\\n");
    }
    printf("%.17g %.17g\\nlabels:\\n", EDGEEFF_CROP, EDGEEFF_THRESHOLD);
    fflush(stdout);
#if EDGEEFF_CLASSES
    for (i = 0; i < EDGEEFF_CLASSES; ++i) fwrite(edgeeff_labels[i], 1, strlen(edgeeff_labels[i]) + 1, stdout);
#endif
    return 0;
}
"""


def built(folder, text=PROGRAM):
    """The program as C99 with every warning, run; and the same text as C++11."""
    (folder / "a.c").write_text(text.replace("#include <stdio.h>", "#include <stdio.h>\n#include <string.h>"))
    strict = ("-Wall", "-Wextra", "-pedantic", "-Werror", "-trigraphs", folder / "a.c", "-o", folder / "a")
    subprocess.run([*map(str, ("g++", "-x", "c++", "-std=c++11", "-fsyntax-only", *strict[:-2]))], check=True)
    subprocess.run([*map(str, ("gcc", "-std=c99", *strict))], check=True)
    return subprocess.run([folder / "a"], check=True, capture_output=True).stdout


def test_c_and_cpp_read_what_the_bundle_says(tiny_bundle, tmp_path, needs):
    needs("gcc", "g++")
    bundle = tiny_bundle(
        "cpu-fp32", "detection", std=(58.395, 57.12, 57.375), letterbox=(127.5, 0.4, 255.0), crop=1.0
    )
    done = CliRunner().invoke(
        application(), ["inspect", str(bundle.folder), "--c-header", str(tmp_path / "bundle.h")]
    )
    assert done.exit_code == 0, done.output
    head, labels = built(tmp_path).split(b"labels:\n", 1)
    assert head.decode().splitlines() == [
        f"tiny-cpu-fp32|{bundle.digest()}|openvino|detection|model.xml",
        "64 96 3 1 0",
        *("120 58.3950005 128", "110 57.1199989 0", "100 57.375 255"),
        f"class_logits scores float32 1 {bundle.manifest.detection.geometry.count} 5",
        f"box_codes boxes float32 1 {bundle.manifest.detection.geometry.count} 4",
        "1 0.5",
    ]
    assert labels.decode().split("\0")[:-1] == list(bundle.manifest.labels)


def test_one_bundle_gives_one_text_and_a_source_file_takes_one_bundle(tiny_bundle, tmp_path, needs):
    needs("gcc")
    made = [tiny_bundle("cpu-fp32"), tiny_bundle("mobile-fp32", "features")]
    texts = [c_header.text(bundle) for bundle in made]
    assert texts[0] == c_header.text(Bundle.load(made[0].folder)) != texts[1]
    for name, text in zip("ab", texts, strict=True):
        (tmp_path / f"{name}.h").write_text(text)
    command = ["gcc", "-fsyntax-only", "-x", "c", "-"]
    twice, both = '#include "a.h"\n' * 2, '#include "a.h"\n#include "b.h"\n'
    assert subprocess.run(command, input=twice.encode(), cwd=tmp_path, check=False).returncode == 0
    done = subprocess.run(command, input=both.encode(), cwd=tmp_path, check=False, capture_output=True)
    assert done.returncode and b"the header of another bundle" in done.stderr
    # Feature maps as the artifact has them: TFLite's are channels last.
    assert '{"map", "features", "float32", 0.0f, 0, 4, {1, 8, 12, 4}}' in texts[1]


def test_an_old_bundle_has_one_output_whose_name_it_does_not_say(tiny_bundle):
    bundle = tiny_bundle("cpu-fp32")
    path = bundle.folder / "manifest.json"
    old = json.loads(path.read_text())
    for key in ("outputs", "batch", "plugins", "thresholded"):
        del old[key]
    path.write_text(json.dumps({**old, "schema_version": 1}))
    assert '{"", "scores", "float32", 0.0f, 0, 2, {1, 5}}' in c_header.text(Bundle.load(bundle.folder))


def test_a_camera_s_frames_are_said(tiny_bundle):
    bundle = tiny_bundle("cpu-fp32")
    assert "#define EDGEEFF_CAMERA 0\n" in c_header.text(bundle)
    path = bundle.folder / "manifest.json"
    said = json.loads(path.read_text())
    said["preprocess"]["camera"] = {
        "colours": "nv12",
        "frame": [128, 192],
        "matrix": "bt709",
        "range": "full",
    }
    path.write_text(json.dumps(said))
    text = c_header.text(Bundle.load(bundle.folder))
    for line in ("CAMERA 1", 'COLOURS "nv12"', "FRAME_HEIGHT 128", 'MATRIX "bt709"', 'RANGE "full"'):
        assert f"#define EDGEEFF_{line}\n" in text


def test_files_of_others_are_not_replaced(tiny_bundle, tmp_path):
    bundle = tiny_bundle("mobile-fp32")
    ours, theirs = tmp_path / "bundle.h", tmp_path / "main.cpp"
    ours.write_text("/* Written by edgeeff inspect --c-header. */")
    theirs.write_text('#include "bundle.h"')
    (tmp_path / "link").symlink_to(bundle.folder)
    c_header.write(bundle, ours)
    assert ours.read_text() == c_header.text(bundle)
    for path in (theirs, bundle.folder / "manifest.json", tmp_path / "link" / "new" / "bundle.h"):
        with pytest.raises(OutputError, match=r"is left as it is|is not replaced"):
            c_header.write(bundle, path)
    assert theirs.read_text() == '#include "bundle.h"' and bundle.altered() == []


def test_nothing_is_written_of_what_cannot_be_right(tiny_bundle, tmp_path):
    bundle = tiny_bundle("mobile-fp32")
    path = bundle.folder / "manifest.json"
    path.write_text(path.read_text().replace('a \\"quoted\\" one', "cut\\u0000off"))
    with pytest.raises(BundleError, match="it holds a NUL"):
        c_header.write(Bundle.load(bundle.folder), tmp_path / "bundle.h")
    (bundle.folder / "model.tflite").write_bytes(b"other")
    with pytest.raises(BundleError, match="does not have the manifest's SHA-256"):
        c_header.write(Bundle.load(bundle.folder), tmp_path / "bundle.h")
    assert not (tmp_path / "bundle.h").exists()
