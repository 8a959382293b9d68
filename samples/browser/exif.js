// The orientation in EXIF, which createImageBitmap follows in Chromium whatever its options say.

const ORIENTATION = 0x0112;
const SHORT = 3;
const SEARCHED = 1 << 20; // bytes; EXIF stands before the pixels

/**
 * A file in which every EXIF orientation says that nothing is turned; `buffer` itself is changed.
 *
 * EXIF holds a small TIFF, in JPEG, PNG and WebP alike: its header is looked for, then the tag.
 */
export function unturned(buffer) {
  const view = new DataView(buffer);
  const end = view.byteLength;
  for (let at = 0; at + 8 <= Math.min(end, SEARCHED); at++) {
    const mark = view.getUint32(at);
    const little = mark === 0x49492a00; // II*, else MM
    if (!little && mark !== 0x4d4d002a) continue;
    const directory = at + view.getUint32(at + 4, little);
    if (directory + 2 > end) continue;
    const entries = view.getUint16(directory, little);
    for (let i = 0, entry = directory + 2; i < entries && entry + 12 <= end; i++, entry += 12)
      if (view.getUint16(entry, little) === ORIENTATION && view.getUint16(entry + 2, little) === SHORT)
        view.setUint16(entry + 8, 1, little);
  }
  return buffer;
}
