"""What a bundle carries to its device: Python 3.8, tensorrt, and numpy to verify; nothing else."""

#: Every file that a bundle copies, by its path below this folder and below the bundle.
FILES = (
    "build_engine.py",
    "verify.py",
    "onboard/__init__.py",
    "onboard/autotune.py",
    "onboard/boxes.py",
    "onboard/built_here.py",
    "onboard/engines.py",
    "onboard/golden.py",
    "onboard/hardware.py",
    "onboard/profiles.py",
    "onboard/recipes.py",
    "onboard/repository.py",
    "onboard/rule.py",
    "onboard/running.py",
    "onboard/sealed.py",
    "onboard/sensors.py",
    "onboard/timing.py",
    "onboard/variants.py",
    "onboard/verification.py",
)
