"""Photos varied more than slightly, as EfficientNetV2 is trained: RandAugment, mixup, CutMix, wide crops.

``operators/`` holds one file for each of RandAugment's operators, found by listing. They work on the photo at
the network's own size, after the deployment's resize: that costs the same whatever a camera gives, and the
same magnitude is the same share of what the network sees. The order is the authors'.
"""
