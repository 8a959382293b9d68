// What a .tflite file says of its inputs and outputs: LiteRT.js tells no scale and no zero point of integers.

const TYPES = { 0: "float32", 2: "int32", 3: "uint8", 9: "int8" }; // TensorType of the TFLite schema

/** @returns {inputs, outputs}: for each {name, type, scale, zeroPoint}; null: the file is no .tflite. */
export function describe(buffer) {
  const view = new DataView(buffer);
  try {
    if (view.getUint32(4) !== 0x54464c33) return null; // TFL3
    const follow = (at) => at + view.getUint32(at, true);
    const field = (table, number) => {
      const vtable = table - view.getInt32(table, true);
      const slot = 4 + 2 * number;
      const offset = slot < view.getUint16(vtable, true) ? view.getUint16(vtable + slot, true) : 0;
      return offset && table + offset;
    };
    const vector = (table, number) => (field(table, number) ? follow(field(table, number)) : 0);
    const integers = (at) => Array.from({ length: at && view.getUint32(at, true) }, (_, i) => view.getInt32(at + 4 + 4 * i, true));
    const graph = follow(vector(follow(0), 2) + 4); // the first of the model's subgraphs
    const tensor = (number) => {
      const table = follow(vector(graph, 0) + 4 + 4 * number);
      const kind = field(table, 1) ? view.getInt8(field(table, 1)) : 0;
      const codes = field(table, 4) && follow(field(table, 4));
      const [scale, zero] = codes ? [vector(codes, 2), vector(codes, 3)] : [0, 0];
      const text = vector(table, 3);
      return {
        name: new TextDecoder().decode(new Uint8Array(buffer, text + 4, view.getUint32(text, true))),
        type: TYPES[kind] ?? `type ${kind}`,
        scale: scale && view.getUint32(scale, true) ? view.getFloat32(scale + 4, true) : 0,
        zeroPoint: zero && view.getUint32(zero, true) ? Number(view.getBigInt64(zero + 4, true)) : 0,
      };
    };
    return { inputs: integers(vector(graph, 1)).map(tensor), outputs: integers(vector(graph, 2)).map(tensor) };
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}
