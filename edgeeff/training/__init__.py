"""Training: a trained network is fitted to the user's own photos, and becomes a checkpoint that builds.

:mod:`edgeeff.training.finetune` is the story; :mod:`edgeeff.training.loop` descends and knows no task;
``tasks/`` holds one file for each task; ``photos/`` makes arrays of labelled photos, with the deployment's
own preprocessing. docs/training.md says what users see of it.
"""
