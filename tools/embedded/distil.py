"""Second stage of the distillation: train the student from random weights to reproduce the teacher's features.

Input: the rounds of crops and features written by `teacher`, each with one crop per photo. Output: `student.npz`, the
weights in the order of the Keras model's `get_weights()`; `checkpoint.pt`, from which an interrupted run resumes; and
`curve.csv`, the loss over time.

Each pass uses the crops of all photos in one round, randomly flipped and recolored. The loss is the sum of two mean
squared errors: that of the feature map divided by the variance of the teacher's feature maps, and that of the pooled
features divided by the variance of the teacher's pooled features. A linear layer, discarded afterwards, maps the
student's 256 features to the 256 principal axes of the teacher's features. Most of the time, the crops are reduced to
96 pixels. The learning rate follows a cosine over the given time, so that training ends in time even on a busy machine.
"""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed, multiprocessing, nn
from torch.nn import functional
from tqdm import tqdm

from poets_edge.core.files import replacing
from tools.embedded.student import keras_weights, student

BATCH = 32  # photos per worker
PEAK_RATE = 2e-3
WEIGHT_DECAY = 0.03
WARM_UP = 0.02  # fraction of the training time
# Pairs (fraction of the training time up to which a size is used, size in pixels). Objects in a random crop are larger
# than in the whole picture, so training at sizes below 128 pixels does not reduce the accuracy. In the last phase, the
# averages of the batch norms adapt to 128 pixels.
SIZES = ((0.08, 64), (0.92, 96), (1.0, 128))
# The teacher's features are computed from the original colors, so strong color changes would teach the student to
# ignore color. In trials of six minutes, they reduced the accuracy on flowers by three percentage points.
COLOR_CHANGE = 0.2
SAVE_EVERY_S = 60.0  # between checkpoints


def distil(run: Path, minutes: float, workers: int = 2, seed: int = 0) -> None:
    """Train the student for `minutes` in total, resuming from the checkpoint in the folder `run` if there is one.

    Each worker is a process with one thread and its own batches; gradients are averaged over the workers. A single
    process with several threads would synchronize them hundreds of times per step, which is slow on a busy machine.

    Args:
        run: folder with the teacher's rounds, to which the results are written.
        minutes: training time in minutes, including that of earlier, interrupted runs.
        workers: number of processes.
        seed: seed for weights, order and distortions.
    """
    with tempfile.TemporaryDirectory() as meeting:
        multiprocessing.spawn(_work, (workers, f"file://{meeting}/meet", run, minutes, seed), nprocs=workers)


def _work(rank: int, workers: int, meeting: str, run: Path, minutes: float, seed: int) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=workers)
    network = student()
    head = nn.Conv2d(256, 256, 1).to(memory_format=torch.channels_last)
    parameters = [*network.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(_groups(parameters), lr=PEAK_RATE, betas=(0.9, 0.99), fused=True)
    seconds, passes = 0.0, 0
    if (run / "checkpoint.pt").exists():
        saved = torch.load(run / "checkpoint.pt", weights_only=True)
        for part, name in ((network, "network"), (head, "head"), (optimizer, "optimizer")):
            part.load_state_dict(saved[name])
        seconds, passes = saved["seconds"], saved["passes"]

    def save() -> None:
        state = {"network": network.state_dict(), "head": head.state_dict(), "optimizer": optimizer.state_dict()}
        with replacing(run / "checkpoint.pt") as path:
            torch.save(state | {"seconds": seconds, "passes": passes}, path)
        with replacing(run / "student.npz") as path, path.open("wb") as file:
            np.savez(file, *keras_weights(network))

    total, saved_at, last = minutes * 60, seconds, time.perf_counter()
    bar = tqdm(total=round(total), initial=round(seconds), unit="s", disable=rank > 0)
    while seconds < total:
        crops, answers, spread = _round(run, passes)
        order = np.random.default_rng((seed, passes)).permutation(len(crops))[rank::workers]
        rng = np.random.default_rng((seed, passes, rank))
        losses = []
        for start in range(0, len(order) // BATCH * BATCH, BATCH):
            for group in optimizer.param_groups:
                group["lr"] = _rate(seconds / total)
            chosen = np.sort(order[start : start + BATCH])
            size = next(size for until, size in SIZES if seconds < until * total)
            images, targets = _distorted(crops[chosen], answers[chosen], size, rng)
            seen = head(network(images))
            map_loss = ((seen - targets) ** 2).mean() / spread[0]
            pooled_loss = ((seen.mean((2, 3)) - targets.mean((2, 3))) ** 2).mean() / spread[1]
            optimizer.zero_grad(set_to_none=True)
            (map_loss + pooled_loss).backward()
            # The time is reduced with the gradients, so that all workers agree on rate, size and end.
            spent = torch.tensor([time.perf_counter() - last])
            last = time.perf_counter()
            mean = torch.cat([*(p.grad.flatten() for p in parameters), spent])
            distributed.all_reduce(mean)
            mean /= workers
            for parameter, gradient in zip(parameters, mean[:-1].split([p.numel() for p in parameters]), strict=True):
                parameter.grad.copy_(gradient.view_as(parameter))
            optimizer.step()
            seconds += float(mean[-1])
            losses.append((float(map_loss.detach()), float(pooled_loss.detach())))
            if rank == 0 and seconds - saved_at > SAVE_EVERY_S:
                save()
                saved_at = seconds
            if seconds >= total:
                break
        passes += 1
        maps, pooled = np.mean(losses, 0)
        bar.set_postfix(passes=passes, pooled=f"{pooled:.4f}", map=f"{maps:.4f}", refresh=False)
        bar.update(round(seconds) - bar.n)
        if rank == 0:
            with (run / "curve.csv").open("a") as file:
                file.write(f"{passes},{seconds:.0f},{size},{maps:.5f},{pooled:.5f}\n")
    if rank == 0:
        save()


def _rate(progress: float) -> float:
    warm = min(1.0, (progress + 1e-4) / WARM_UP)
    return PEAK_RATE * warm * (0.5 + 0.5 * math.cos(math.pi * min(progress, 1.0))) + 1e-6


def _groups(parameters: list[nn.Parameter]) -> list[dict[str, Any]]:
    """Return two parameter groups for the optimizer: one with weight decay, one (depthwise, batch norm) without."""
    full = [p for p in parameters if p.ndim == 4 and p.shape[1] > 1]
    rest = [p for p in parameters if not (p.ndim == 4 and p.shape[1] > 1)]
    return [{"params": full, "weight_decay": WEIGHT_DECAY}, {"params": rest, "weight_decay": 0.0}]


def _round(run: Path, number: int) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Return the crops of a round, the teacher's feature maps for them, and the variances of the targets.

    A round consists of one crop of each photo. The variances are those of the feature maps and of the pooled features,
    averaged over the features.

    Args:
        run: folder with the rounds.
        number: number of the round, starting with 0; after the last round, the rounds repeat.
    """
    ready = sorted(run.glob("answers-*.npy"))
    answers = np.load(ready[number % len(ready)], mmap_mode="r")
    crops = np.load(str(ready[number % len(ready)]).replace("answers-", "crops-"), mmap_mode="r")
    sample = np.asarray(answers[:1000], np.float32)
    pooled = sample.mean((1, 2))
    return crops, answers, (float(sample.var(0).mean()), float(pooled.var(0).mean()))


def _distorted(
    crops: np.ndarray, answers: np.ndarray, size: int, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images recolored and flipped at random, and the teacher's feature maps, flipped likewise, as targets.

    Each image is flipped horizontally with a probability of 50 %. The images have the shape [N, 3, size, size] and
    values from -1 to 1; the targets have the shape [N, 256, size / 32, size / 32].

    Args:
        crops: uint8 [N, 128, 128, 3]; modified by the flips.
        answers: feature maps for the crops, float16 [N, 4, 4, 256]; modified by the flips.
        size: size of the images in pixels.
        rng: random number generator.
    """
    count = len(crops)
    flip = rng.random(count) < 0.5
    crops[flip], answers[flip] = crops[flip, :, ::-1], answers[flip, :, ::-1]
    pixels = torch.from_numpy(crops).permute(0, 3, 1, 2)
    if size != crops.shape[1]:
        pixels = functional.interpolate(pixels, size=size, mode="bilinear", antialias=True)
    matrix, offset = _colors(count, COLOR_CHANGE, rng)
    flat = pixels.permute(0, 2, 3, 1).reshape(count, -1, 3).float() / 127.5 - 1
    images = torch.baddbmm(offset, flat, matrix).clamp_(-1, 1).view(count, size, size, 3).permute(0, 3, 1, 2)
    targets = torch.from_numpy(answers.astype(np.float32)).permute(0, 3, 1, 2)
    return images, functional.adaptive_avg_pool2d(targets, size // 32)


def _colors(count: int, strength: float, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return random color changes: for each image, a matrix and an offset, such that new = old @ matrix + offset.

    Args:
        count: number of images.
        strength: strength of the changes; 0 for none.
        rng: random number generator.

    Returns:
        Matrices [count, 3, 3] and offsets [count, 1, 3], for RGB values from -1 to 1.
    """
    gray = np.full((3, 3), 1 / 3)
    turn = rng.normal(0, 0.12 * strength, (count, 1, 1))
    spin = np.array([[0, 1, -1], [-1, 0, 1], [1, -1, 0]]) / math.sqrt(3)
    hue = gray + np.cos(turn) * (np.eye(3) - gray) + np.sin(turn) * spin
    saturation = 1 + strength * rng.uniform(-0.5, 0.5, (count, 1, 1))
    saturation[rng.random(count) < 0.05 * strength] = 0.0
    contrast = 1 + strength * rng.uniform(-0.35, 0.35, (count, 1, 1))
    matrix = hue @ (gray + saturation * (np.eye(3) - gray)) * contrast
    tint = strength * (rng.normal(0, 0.05, (count, 1, 3)) + rng.uniform(-0.25, 0.25, (count, 1, 1)))
    return torch.from_numpy(matrix.astype(np.float32)), torch.from_numpy(tint.astype(np.float32))
