"""The mathematics of advantage actor-critic learners with discrete actions, side by side: sampling, targets, loss."""

import numpy as np


def log_policy(logits):
    """`(probabilities, log_probabilities)` of logits `(..., actions)`, float32."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    probabilities = np.exp(shifted)
    total = probabilities.sum(axis=-1, keepdims=True)
    shifted -= np.log(total)
    probabilities /= total
    return probabilities, shifted


def sample(probabilities, draws, last):
    """Actions int64 `(...)` drawn from probabilities `(..., actions)` by inversion.

    Args:
        draws (`np.ndarray`, float64 `(...)`): uniform in [0, 1).
        last (`np.ndarray`, int64 `(...)`): the last action of positive probability: rounding must not lead beyond it.
    """
    cumulated = probabilities.cumsum(axis=-1, dtype=np.float64)
    below = cumulated <= (draws * cumulated[..., -1])[..., None]
    return np.minimum(below.sum(axis=-1), last)


def advantages(rewards, values, next_values, terminated, ended, discount, gae_lambda):
    """Generalised advantages (Schulman et al. 2016, eq. 16) inside a roll-out.

    With `gae_lambda` 1, advantage plus value is the longest n-step return that the roll-out has, bootstrapped at its
    end and where an episode was truncated. Axis 1 of all arguments is time: `(L, T, n)`.

    Args:
        next_values: of what each step led to, the true last observation where the episode ended.
        terminated, ended: bool, whether the step ended its episode by terminating, or in any way.
    """
    errors = rewards + np.float32(discount) * np.where(terminated, np.float32(0), next_values) - values
    carry = np.where(ended, np.float32(0), np.float32(discount * gae_lambda))
    for t in range(errors.shape[1] - 2, -1, -1):
        errors[:, t] += carry[:, t] * errors[:, t + 1]
    return errors


def loss_gradient(logits, values, actions, advantage, entropy_coef, value_coef):
    """Gradient of each learner's joint loss by its logits and values: float32 `(L, n, actions + 1)`, values last.

    The loss of a learner is the mean over its n samples of
    `-log pi(a) * advantage - entropy_coef * entropy + value_coef * (value - target)**2`, in which the advantage and
    the target (advantage + value) count as constants.

    Args:
        logits (`np.ndarray`, float32 `(L, n, actions)`), values (`np.ndarray`, float32 `(L, n)`): of the network.
        actions (`np.ndarray`, int64 `(L, n)`), advantage (`np.ndarray`, float32 `(L, n)`).
    """
    probabilities, logs = log_policy(logits)
    entropy = -(probabilities * logs).sum(axis=-1, keepdims=True)
    gradient = np.empty((*values.shape, logits.shape[-1] + 1), dtype=np.float32)
    gradient[..., :-1] = probabilities * (advantage[..., None] + entropy_coef * (logs + entropy))
    learner, place = np.ogrid[: values.shape[0], : values.shape[1]]
    gradient[learner, place, actions] -= advantage
    gradient[..., -1] = -2.0 * value_coef * advantage
    gradient /= values.shape[1]
    return gradient
