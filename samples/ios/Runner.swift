// A bundle of `mobile-int8` or `mobile-fp32` in an app, by LiteRT: a UIImage in, labels or boxes out.
//
// Podfile: pod 'TensorFlowLiteSwift'. The folder `bundle` with manifest.json and model.tflite is a folder reference.

import TensorFlowLite
import UIKit

/// A class or label and its probability; of a detector with the box, in the photo's pixels.
struct Answer {
    var label: String, score: Double
    var box: CGRect?
}

struct Refusal: Error, CustomStringConvertible { var description: String }

final class Runner {
    let manifest: Manifest
    private let interpreter: Interpreter

    init(folder: URL, threads: Int = 2) throws {
        manifest = try JSONDecoder().decode(Manifest.self, from: Data(contentsOf: folder.appendingPathComponent("manifest.json")))
        guard manifest.runtime == "tflite" else { throw Refusal(description: "this bundle is for \(manifest.runtime): build with --target mobile-int8") }
        guard manifest.input != "int8" else { throw Refusal(description: "this sample feeds uint8 or float32: build with --io uint8") }
        guard manifest.preprocess.mean.count == 3, manifest.preprocess.camera == nil else { throw Refusal(description: "this sample feeds photos in RGB") }
        guard manifest.detection?.where != "host" else { throw Refusal(description: "build with --nms runtime") }
        guard ["classification", "multilabel", "detection"].contains(manifest.task) else { throw Refusal(description: "it shows labels or boxes") }
        var options = Interpreter.Options()
        options.threadCount = threads
        interpreter = try Interpreter(modelPath: folder.appendingPathComponent("model.tflite").path, options: options)
        try interpreter.allocateTensors()
    }

    func predict(_ image: UIImage) throws -> [Answer] {
        let photo = try pixels(of: image, turned: manifest.preprocess.exif)
        let fitted = fit(photo, manifest.preprocess, pillow: manifest.pillow)
        try interpreter.copy(input(fitted.photo, manifest), toInputAt: 0)
        try interpreter.invoke()
        return manifest.task == "detection" ? try boxes(fitted, photo) : try classes()
    }

    private func classes() throws -> [Answer] {
        let output = try interpreter.output(at: 0)
        let values: [Double]
        if let meaning = output.quantizationParameters, output.dataType == .uInt8 {
            values = output.data.map { Double(Float(Int($0) - meaning.zeroPoint) * meaning.scale) }
        } else {
            values = floats(output).map(Double.init)
        }
        let most = values.max() ?? 0
        let sum = values.reduce(0) { $0 + exp($1 - most) }
        let exclusive = manifest.task == "classification"
        let answers = zip(manifest.labels, values).map { label, value -> Answer in
            let probability = manifest.softmax ? value : exclusive ? exp(value - most) / sum : 1 / (1 + exp(-value))
            return Answer(label: label, score: probability)
        }.sorted { $0.score > $1.score }
        return exclusive ? Array(answers.prefix(5)) : answers.filter { $0.score >= manifest.threshold }
    }

    /// Of TFLite_Detection_PostProcess: boxes, classes, scores, number, in this order.
    private func boxes(_ fitted: Fit, _ photo: Photo) throws -> [Answer] {
        let (corners, kinds) = (floats(try interpreter.output(at: 0)), floats(try interpreter.output(at: 1)))
        let (scores, number) = (floats(try interpreter.output(at: 2)), floats(try interpreter.output(at: 3)))
        let (height, width) = (Double(manifest.preprocess.size[0]), Double(manifest.preprocess.size[1]))
        func x(_ share: Float) -> Double { min(max(Double(share) * width * fitted.across + fitted.left, 0), Double(photo.width)) }
        func y(_ share: Float) -> Double { min(max(Double(share) * height * fitted.down + fitted.top, 0), Double(photo.height)) }
        return (0..<Int(number[0])).map { i -> Answer in
            let (top, left, bottom, right) = (corners[4 * i], corners[4 * i + 1], corners[4 * i + 2], corners[4 * i + 3])
            let box = CGRect(x: x(left), y: y(top), width: x(right) - x(left), height: y(bottom) - y(top))
            return Answer(label: manifest.labels[Int(kinds[i])], score: Double(scores[i]), box: box)
        }.filter { $0.score >= manifest.threshold && !($0.box ?? .zero).isEmpty }.sorted { $0.score > $1.score }
    }

    private func floats(_ tensor: Tensor) -> [Float] {
        tensor.data.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
    }

    /// RGB of 8 bits. UIImage knows an orientation, its CGImage does not: only `turned` draws the former.
    private func pixels(of image: UIImage, turned: Bool) throws -> Photo {
        guard let stored = image.cgImage else { throw Refusal(description: "the image has no pixels") }
        let upright = turned ? image.size : CGSize(width: stored.width, height: stored.height)
        let (width, height) = turned ? (Int(upright.width * image.scale), Int(upright.height * image.scale)) : (stored.width, stored.height)
        var bytes = [UInt8](repeating: 0, count: width * height * 4)
        // The image's own colour space: a conversion would change the values that the network was trained on.
        let space = stored.colorSpace?.model == .rgb ? stored.colorSpace! : CGColorSpaceCreateDeviceRGB()
        try bytes.withUnsafeMutableBytes { memory in
            guard let context = CGContext(
                data: memory.baseAddress, width: width, height: height, bitsPerComponent: 8, bytesPerRow: width * 4,
                space: space, bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue
            ) else { throw Refusal(description: "there is no memory for \(width) x \(height) pixels") }
            if turned {
                UIGraphicsPushContext(context)
                context.translateBy(x: 0, y: CGFloat(height))
                context.scaleBy(x: 1, y: -1)
                image.draw(in: CGRect(x: 0, y: 0, width: width, height: height))
                UIGraphicsPopContext()
            } else {
                context.draw(stored, in: CGRect(x: 0, y: 0, width: width, height: height))
            }
        }
        return Photo(width: width, height: height, values: bytes.enumerated().filter { $0.offset % 4 != 3 }.map { $0.element })
    }
}
