"""Train the fine-tuned layers (called the tail) and the head in TensorFlow, from batches of activations with classes.

The optimizer is AdamW with a cosine schedule, and a moving average of the weights is kept. Photos and files are handled
in `tuning`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from poets_edge.nets.layers import Layer
from poets_edge.nets.network import Parameters
from poets_edge.nets.tensorflow import load_tensorflow
from poets_edge.training.fine_tuning.activations import Activation
from poets_edge.training.fine_tuning.options import FineTuning
from poets_edge.training.fine_tuning.tail import Tail
from poets_edge.training.head import Head

Array = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

# Kingma and Ba, "Adam", 2014, and Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2017.
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-7


@dataclass(frozen=True)
class Epoch:
    """Result of one epoch. Validation values are None if there are no validation photos.

    Attributes:
        epoch: number of the epoch, from 1.
        train_accuracy, train_cross_entropy: mean accuracy and loss over the views (augmented training photos) of this
            epoch, during training. The loss is computed with label smoothing, so it does not reach 0.
        validation_accuracy, validation_cross_entropy: results on the validation photos, without augmentation or label
            smoothing, of the moving average of the weights over training steps.
    """

    epoch: int
    train_accuracy: float
    train_cross_entropy: float
    validation_accuracy: float | None
    validation_cross_entropy: float | None


def weights_of(tail: Tail, head: Head) -> list[Array]:
    """Return the kernels and biases of the fine-tuned layers and the head, in the order of computation."""
    parameters = [tail.parameters[layer.name] for layer in tail.convolutions]
    return [array for each in parameters for array in (each.kernel, each.bias)] + [head.weights, head.biases]


def with_weights(tail: Tail, weights: Sequence[Array]) -> tuple[Tail, Head]:
    """Replace the weights of the fine-tuned layers and of the head; return new objects for both.

    Args:
        tail: the fine-tuned layers, which are not modified.
        weights: kernels and biases of the layers and the head, in the order of `weights_of`.
    """
    pairs = zip(weights[:-2:2], weights[1:-2:2], tail.convolutions, strict=True)
    parameters = {layer.name: Parameters(kernel, bias) for kernel, bias, layer in pairs}
    return replace(tail, parameters=parameters), Head(weights[-2], weights[-1])


class Trainer:
    """Trainer of the fine-tuned layers and the head.

    `state` returns its state, which includes the weights and the optimizer's running averages; `restore` loads it.
    """

    def __init__(self, tail: Tail, head: Head, options: FineTuning, steps_per_epoch: int) -> None:
        """Initialize with the weights of the layers to fine-tune, and of a head trained on their outputs."""
        self._tf = tf = load_tensorflow("fine-tuning")
        self._tail = tail
        self._options = options
        self._steps_per_epoch = steps_per_epoch
        self._step = 0
        start = weights_of(tail, head)
        self._weights, self._average = ([tf.Variable(array) for array in start] for _ in range(2))
        self._first, self._second = ([tf.Variable(np.zeros_like(array)) for array in start] for _ in range(2))
        self._update = tf.function(self._one_step)
        self._predict = tf.function(
            lambda activations: tf.nn.softmax(self._logits(self._average, activations)), reduce_retracing=True
        )

    def train(self, activations: Activation, classes: Indices) -> tuple[float, int]:
        """Perform one training step.

        Args:
            activations: float32 [batch, height, width, channels].
            classes: int64 [batch].

        Returns:
            Mean cross entropy of the batch before the step, with smoothed labels (NaN or infinity after training has
            diverged), and the number of correct predictions.
        """
        step, warm = self._step, self._steps_per_epoch
        assert self._options.learning_rate is not None and self._options.epochs, "resolve the options first"
        total = self._options.epochs * self._steps_per_epoch
        rate = self._options.learning_rate * min(1.0, (step + 1) / warm) * (1 + np.cos(np.pi * step / total)) / 2
        # An average over few steps must not retain its initial value.
        decay = min(self._options.averaging, (step + 2) / (step + 11))
        self._step += 1
        loss, correct = self._update(activations, classes, *(np.float32(number) for number in (rate, step + 1, decay)))
        return float(loss), int(correct)

    def scores(self, activations: Activation) -> Array:
        """Return the probabilities predicted with the moving average of the weights, float32 [batch, classes]."""
        return np.asarray(self._predict(activations), np.float32)

    def averaged(self) -> tuple[Tail, Head]:
        """Return the fine-tuned layers and the head, with a copy of the moving average of their weights."""
        return with_weights(self._tail, [variable.numpy() for variable in self._average])

    def state(self) -> list[npt.NDArray[Any]]:
        """Return the state for `restore`.

        It consists of the step number, the weights, their moving averages, and the running averages of gradients and
        squared gradients that AdamW keeps.
        """
        return [np.array(self._step), *(variable.numpy() for variable in self._variables())]

    def restore(self, state: Sequence[npt.NDArray[Any]]) -> None:
        """Load a state that `state` returned, and continue training from it.

        Args:
            state: state of a trainer whose weights have the same shapes.
        """
        self._step = int(state[0])
        for variable, array in zip(self._variables(), state[1:], strict=True):
            variable.assign(array)

    def _variables(self) -> list[Any]:
        return [*self._weights, *self._average, *self._first, *self._second]

    def _logits(self, weights: Sequence[Any], activations: Any) -> Any:
        """Return the logits for a batch of activations, float32 [batch, classes]."""
        tf = self._tf
        outputs, values = {self._tail.cut.name: activations}, activations
        pairs = zip(weights[:-2:2], weights[1:-2:2], strict=True)
        for layer in self._tail.layers:
            sources = [outputs[name] for name in layer.sources]
            if layer.kind == "add":
                values = sources[0] + sources[1]
            else:
                values = self._convolution(layer, sources[0], *next(pairs))
            outputs[layer.name] = values
        return tf.matmul(tf.reduce_mean(values, axis=[1, 2]), weights[-2]) + weights[-1]

    def _convolution(self, layer: Layer, values: Any, kernel: Any, bias: Any) -> Any:
        tf = self._tf
        if layer.kind == "depthwise":
            values = tf.nn.depthwise_conv2d(values, kernel, [1, layer.stride, layer.stride, 1], layer.padding)
        else:
            # As a matrix product: TensorFlow's gradient of a 1 x 1 convolution takes twice as long.
            shape = tf.shape(values)
            rows = tf.matmul(tf.reshape(values, [-1, kernel.shape[2]]), tf.reshape(kernel, kernel.shape[2:]))
            values = tf.reshape(rows, [shape[0], shape[1], shape[2], kernel.shape[3]])
        return tf.nn.relu6(values + bias) if layer.activation == "relu6" else values + bias

    def _one_step(self, activations: Any, classes: Any, rate: Any, step: Any, decay: Any) -> tuple[Any, Any]:
        tf, options = self._tf, self._options
        count = int(self._weights[-1].shape[0])
        truth = tf.one_hot(classes, count) * (1 - options.label_smoothing) + options.label_smoothing / count
        with tf.GradientTape() as tape:
            logits = self._logits(self._weights, activations)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(truth, logits))
        gradients = tape.gradient(loss, self._weights)
        # The fused operation needs no temporary arrays: the update takes half the time of single operations.
        bias1, bias2 = 1 - _BETA1**step, 1 - _BETA2**step
        everything = zip(self._weights, self._average, self._first, self._second, gradients, strict=True)
        for weight, average, first, second, gradient in everything:
            if weight.shape.rank > 1:
                weight.assign(weight * (1 - rate * options.weight_decay))
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle, m=first.handle, v=second.handle, grad=gradient, lr=rate, beta1=_BETA1, beta2=_BETA2,
                beta1_power=1 - bias1, beta2_power=1 - bias2, epsilon=_EPSILON * tf.sqrt(bias2),
            )  # fmt: skip
            average.assign_add((1 - decay) * (weight - average))
        correct = tf.reduce_sum(tf.cast(tf.equal(tf.argmax(logits, axis=1), classes), tf.int32))
        return loss, correct
