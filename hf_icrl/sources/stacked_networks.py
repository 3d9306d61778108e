"""Many small networks with one architecture as arrays with a leading axis of learners, with their own gradients and Adam.

NumPy, since everything here is small: at ten environments a learner the work of a step is in calls, and torch's
autograd makes several times as many. (`tests/sources/test_stacked_networks.py` holds the gradients against torch's.)
"""

import numpy as np

from hf_icrl.counter_random import uniforms
from hf_icrl.sources.network_inputs import matmul

ACTIVATIONS = ("relu", "tanh")


class StackedNetworks:
    """L multi-layer perceptrons with linear outputs. No number of one learner depends on any other learner.

    All parameters of a learner are one row of `parameters`, so that clipping and Adam are a few calls in all.

    Args:
        keys (`np.ndarray` of uint64, shape `(L,)`): the learners' streams for their initial weights, each uniform in
            +-1/sqrt(inputs of its layer), biases too (the default of torch's linear layers).
        first: the first layer, from `hf_icrl.sources.network_inputs.first_layer`.
        hidden_size (`int`), num_layers (`int`): width and number of hidden layers, at least 1.
        num_outputs (`int`): outputs.
        activation (`str`): after each hidden layer, `"relu"` or `"tanh"`.
    """

    def __init__(self, keys, first, hidden_size, num_layers, num_outputs, activation):
        self.first = first
        self.activation = activation
        self.shapes = [(first.num_inputs, hidden_size)]
        self.shapes += [(hidden_size, hidden_size)] * (num_layers - 1) + [(hidden_size, num_outputs)]
        bounds = np.concatenate([np.full((i + 1) * o, i**-0.5) for i, o in self.shapes])
        draws = uniforms(keys[:, None], np.arange(len(bounds)))
        self.parameters = ((2.0 * draws - 1.0) * bounds).astype(np.float32)
        self.gradient = np.zeros_like(self.parameters)
        self.mean = np.zeros_like(self.parameters)
        self.square = np.zeros_like(self.parameters)
        self.updates = 0
        self._view()

    def _view(self):
        """(Re)make the layers' views of the flat arrays: per layer `(weights (L, in, out), biases (L, 1, out))`."""
        self.learners = np.arange(len(self.parameters))
        self.layers = _layers(self.parameters, self.shapes)
        self.gradients = _layers(self.gradient, self.shapes)

    def select(self, learners):
        """Go on with these learners only: int64 `(m,)`, ascending."""
        for name in ("parameters", "gradient", "mean", "square"):
            setattr(self, name, getattr(self, name)[learners])
        self._view()

    def forward(self, inputs, learners=None):
        """What the learners, or those numbered `learners` (int64 `(l,)`), make of their inputs.

        Args:
            inputs (`np.ndarray`, shape `(l, n, ...)`): encoded observations, n for each of these learners.

        Returns:
            `(hidden, outputs)`: a list of float32 `(l, n, hidden_size)`, one per hidden layer, and float32
            `(l, n, num_outputs)`.
        """
        everyone = learners is None
        learners = self.learners if everyone else learners
        weights, biases = self.layers[0]
        hidden = [self._activate(self.first.apply(weights, inputs, learners), biases[learners])]
        for weights, biases in self.layers[1:-1]:
            outputs = matmul(hidden[-1], weights if everyone else weights[learners])
            hidden.append(self._activate(outputs, biases[learners]))
        weights, biases = self.layers[-1]
        outputs = matmul(hidden[-1], weights if everyone else weights[learners])
        outputs += biases[learners]
        return hidden, outputs

    def _activate(self, values, biases):
        values += biases
        return np.maximum(values, 0, out=values) if self.activation == "relu" else np.tanh(values, out=values)

    def backward(self, inputs, hidden, output_gradient):
        """Write the parameters' gradient to `gradient`, from what `forward` got and gave, for all learners.

        Args:
            output_gradient (`np.ndarray`, float32 `(L, n, num_outputs)`): gradient of each learner's loss by its
                outputs.
        """
        upper = output_gradient
        for layer in range(len(self.layers) - 1, 0, -1):
            below = hidden[layer - 1]
            weights, biases = self.gradients[layer]
            matmul(below.swapaxes(1, 2), upper, weights)
            upper.sum(axis=1, keepdims=True, out=biases)
            upper = matmul(upper, self.layers[layer][0].swapaxes(1, 2))
            upper *= below > 0 if self.activation == "relu" else 1.0 - below * below
        weights, biases = self.gradients[0]
        self.first.gradient(inputs, upper, weights)
        upper.sum(axis=1, keepdims=True, out=biases)

    def clip(self, max_norm):
        """Scale each learner's gradient so that its norm over all parameters is at most `max_norm`."""
        norms = np.sqrt(np.square(self.gradient).sum(axis=1, keepdims=True))
        self.gradient *= np.minimum(max_norm / (norms + 1e-6), 1.0)

    def adam(self, learning_rate, beta1, beta2, eps):
        """One step of Adam (Kingma and Ba 2015, with their correction of the bias) along `gradient`."""
        self.updates += 1
        scratch = self.gradient * (1.0 - beta1)
        self.mean *= beta1
        self.mean += scratch
        np.square(self.gradient, out=scratch)
        scratch *= 1.0 - beta2
        self.square *= beta2
        self.square += scratch
        np.sqrt(self.square, out=scratch)
        scratch *= (1.0 - beta2**self.updates) ** -0.5
        scratch += eps
        np.divide(self.mean, scratch, out=scratch)
        scratch *= learning_rate / (1.0 - beta1**self.updates)
        self.parameters -= scratch


def _layers(flat, shapes):
    views, at = [], 0
    for inputs, outputs in shapes:
        middle, end = at + inputs * outputs, at + (inputs + 1) * outputs
        views.append((flat[:, at:middle].reshape(-1, inputs, outputs), flat[:, middle:end].reshape(-1, 1, outputs)))
        at = end
    return views
