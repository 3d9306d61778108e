import pytest
import torch

from hf_icrl import AlgorithmDistillationConfig, AlgorithmDistillationModel, task_family

SIZE = 4


def tiny_model(observation_space, action_space, **config):
    """A small random model: what a rollout promises does not depend on how well the model was trained."""
    torch_state = torch.random.get_rng_state()
    torch.random.manual_seed(0)
    model = AlgorithmDistillationModel(
        AlgorithmDistillationConfig(
            observation_space=observation_space,
            action_space=action_space,
            context_length=config.pop("context_length", 24),
            trunk_config={
                "hidden_size": 16,
                "intermediate_size": 32,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
            },
            # Large weights, so that what a row has seen really changes what it does.
            initializer_range=1.0,
            **config,
        )
    )
    torch.random.set_rng_state(torch_state)
    return model


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    """Models this small are slower, and much noisier, on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def make_model():
    return tiny_model


@pytest.fixture(scope="session")
def model():
    return tiny_model({"type": "Discrete", "n": SIZE**2}, {"type": "Discrete", "n": 5}, observation_grid=[SIZE, SIZE])


@pytest.fixture(scope="session")
def family():
    """Episodes of equal length and a fixed start."""
    return task_family("dark_room", size=SIZE, horizon=7)


@pytest.fixture(scope="session")
def ragged_family():
    """Episodes end on the goal, so that rows need different numbers of steps; starts are random."""
    return task_family("dark_room", size=SIZE, horizon=9, start="random", terminate_on_goal=True)
