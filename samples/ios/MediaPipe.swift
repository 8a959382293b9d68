// The same file by MediaPipe Tasks: labels, normalisation and a detector's outputs are in its metadata.
//
// Podfile: pod 'MediaPipeTasksVision'. Built with --io uint8 or --io float32, and --softmax for probabilities.
// MediaPipe stretches what it is given to the input's size: for the answers of `edgeeff run` give it an image
// made of `fit(…).photo`, and take boxes back by `x * across + left` and `y * down + top`.

import MediaPipeTasksVision
import UIKit

func classify(_ image: UIImage, model: String) throws -> [Answer] {
    let options = ImageClassifierOptions()
    options.baseOptions.modelAssetPath = model
    options.maxResults = 5
    let classifier = try ImageClassifier(options: options)
    let found = try classifier.classify(image: MPImage(uiImage: image))
    return found.classificationResult.classifications[0].categories.map {
        Answer(label: $0.categoryName ?? "\($0.index)", score: Double($0.score))
    }
}

func detect(_ image: UIImage, model: String, threshold: Float) throws -> [Answer] {
    let options = ObjectDetectorOptions()
    options.baseOptions.modelAssetPath = model
    options.scoreThreshold = threshold
    let detector = try ObjectDetector(options: options)
    let found = try detector.detect(image: MPImage(uiImage: image))
    return found.detections.map {
        Answer(label: $0.categories[0].categoryName ?? "", score: Double($0.categories[0].score), box: $0.boundingBox)
    }
}
