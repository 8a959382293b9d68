// From a photo to a network's input, as a bundle's manifest.json says. Foundation alone is used here.

import Foundation

/// Pixels of 8 bits, [height, width, 3], red, green and blue; rows from the top.
struct Photo {
    var width: Int, height: Int
    var values: [UInt8]
}

/// What of manifest.json the samples read.
struct Manifest: Decodable {
    /// Of a bundle that takes frames of a camera, which these samples do not feed.
    struct Camera: Decodable {}
    struct Preprocess: Decodable {
        var size: [Int], mean: [Float], std: [Float]
        var crop: Double, interpolation: String, squash: Bool, exif: Bool
        var letterbox: [Double]?, camera: Camera?
    }
    struct Detection: Decodable { var `where`: String }
    var name: String, runtime: String, input: String, task: String
    var softmax: Bool, threshold: Double, labels: [String]
    var preprocess: Preprocess, detection: Detection?, tools: [String: String]
    /// From 13 on Pillow resizes some photos down first.
    var pillow: Int { Int(tools["pillow"]?.split(separator: ".").first ?? "13") ?? 13 }
}

/// The network's pixels; a point of the input is x * across + left, y * down + top in the photo.
struct Fit {
    var photo: Photo
    var left = 0.0, top = 0.0, across = 1.0, down = 1.0
}

func fit(_ photo: Photo, _ steps: Manifest.Preprocess, pillow: Int) -> Fit {
    let (height, width) = (steps.size[0], steps.size[1])
    if photo.width == width && photo.height == height { return Fit(photo: photo) }
    let bicubic = steps.interpolation == "bicubic"
    if let letterbox = steps.letterbox {
        let scale = min(Double(width) / Double(photo.width), Double(height) / Double(photo.height))
        let inner = [photo.width, photo.height].map { max(Int((Double($0) * scale + 1e-6).rounded(.down)), 1) }
        let whole = (0.0, 0.0, Double(photo.width), Double(photo.height))
        let small = resize(photo, inner[0], inner[1], bicubic, pillow, box: whole)
        let colour = letterbox.map { UInt8($0.rounded(.toNearestOrEven)) }
        var boxed = Photo(width: width, height: height, values: (0..<(width * height * 3)).map { colour[$0 % 3] })
        for row in 0..<inner[1] {
            let line = row * inner[0] * 3
            boxed.values.replaceSubrange((row * width * 3)..<(row * width * 3 + inner[0] * 3), with: small.values[line..<(line + inner[0] * 3)])
        }
        return Fit(photo: boxed, across: Double(photo.width) / Double(inner[0]), down: Double(photo.height) / Double(inner[1]))
    }
    var across = Double(width) / steps.crop / Double(photo.width)
    var down = Double(height) / steps.crop / Double(photo.height)
    if !steps.squash { across = max(across, down); down = across }
    let left = max((Double(photo.width) - Double(width) / across) / 2, 0)
    let top = max((Double(photo.height) - Double(height) / down) / 2, 0)
    let right = min(left + Double(width) / across, Double(photo.width))
    let bottom = min(top + Double(height) / down, Double(photo.height))
    let found = resize(photo, width, height, bicubic, pillow, box: (left, top, right, bottom))
    return Fit(photo: found, left: left, top: top, across: (right - left) / Double(width), down: (bottom - top) / Double(height))
}

/// The input tensor: pixels, or float32 (x − mean) / std; where channels differ in these the .tflite normalises itself.
func input(_ photo: Photo, _ manifest: Manifest) -> Data {
    if manifest.input == "uint8" { return Data(photo.values) }
    let (mean, std) = (manifest.preprocess.mean, manifest.preprocess.std)
    let inside = Set(mean).count > 1 || Set(std).count > 1
    let floats = photo.values.map { inside ? Float($0) : (Float($0) - mean[0]) / std[0] }
    return floats.withUnsafeBufferPointer { Data(buffer: $0) }
}

private struct Window { var first: Int; var weights: [Int32] }

private func weight(_ bicubic: Bool, _ at: Double) -> Double {
    let x = abs(at)
    if !bicubic { return max(1 - x, 0) }
    if x < 1 { return (1.5 * x - 2.5) * x * x + 1 }
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0
}

private func windows(_ length: Int, _ low: Float, _ high: Float, _ count: Int, _ bicubic: Bool) -> [Window] {
    let scale = Double(high - low) / Double(count)
    let reach = (bicubic ? 2.0 : 1.0) * max(scale, 1)
    return (0..<count).map { i in
        let centre = Double(low) + (Double(i) + 0.5) * scale
        let first = max(Int(centre - reach + 0.5), 0)
        let past = min(Int(centre + reach + 0.5), length)
        let reals = (first..<past).map { weight(bicubic, (Double($0) - centre + 0.5) * (1 / max(scale, 1))) }
        let sum = reals.reduce(0, +)
        return Window(first: first, weights: reals.map { raw in
            let real = sum != 0 ? raw / sum : raw
            return Int32(real * Double(1 << 22) + (real < 0 ? -0.5 : 0.5))
        })
    }
}

/// Pillow's antialiased resize of a part of a photo. vImage and Core Image filter otherwise.
func resize(_ photo: Photo, _ width: Int, _ height: Int, _ bicubic: Bool, _ pillow: Int, box: (Double, Double, Double, Double)) -> Photo {
    let columns = windows(photo.width, Float(box.0), Float(box.2), width, bicubic)
    let rows = windows(photo.height, Float(box.1), Float(box.3), height, bicubic)
    let less = photo.height - height
    let downFirst = pillow >= 13 && less > 0 && less > 2 * (photo.width - width)
    return downFirst ? across(down(photo, rows), columns) : down(across(photo, columns), rows)
}

private func across(_ photo: Photo, _ columns: [Window]) -> Photo {
    var found = Photo(width: columns.count, height: photo.height, values: [])
    found.values.reserveCapacity(columns.count * photo.height * 3)
    for row in 0..<photo.height {
        for window in columns {
            for channel in 0..<3 {
                found.values.append(filtered(photo.values, (row * photo.width + window.first) * 3 + channel, 3, window.weights))
            }
        }
    }
    return found
}

private func down(_ photo: Photo, _ rows: [Window]) -> Photo {
    let line = photo.width * 3
    var found = Photo(width: photo.width, height: rows.count, values: [])
    found.values.reserveCapacity(rows.count * line)
    for window in rows {
        for x in 0..<line { found.values.append(filtered(photo.values, window.first * line + x, line, window.weights)) }
    }
    return found
}

private func filtered(_ values: [UInt8], _ start: Int, _ step: Int, _ weights: [Int32]) -> UInt8 {
    var sum: Int32 = 1 << 21
    for (i, weight) in weights.enumerated() { sum += Int32(values[start + i * step]) * weight }
    return UInt8(min(max(sum >> 22, 0), 255))
}
