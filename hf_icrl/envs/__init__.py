"""Gymnasium environments, one file per family. Ids are registered when gymnasium is imported.

This module stays free of gymnasium, because it runs while gymnasium itself is being imported (see
`hf_icrl/registration.py`); the classes are loaded on first use.
"""

from hf_icrl.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "BernoulliBanditEnv": "bernoulli_bandit",
        "BernoulliBanditVectorEnv": "bernoulli_bandit_vector",
        "ContextualBanditEnv": "contextual_bandit",
        "ContextualBanditVectorEnv": "contextual_bandit_vector",
        "DarkRoomEnv": "dark_room",
        "DarkRoomVectorEnv": "dark_room_vector",
        "KeyToDoorEnv": "key_to_door",
        "KeyToDoorVectorEnv": "key_to_door_vector",
        "LinearBanditEnv": "linear_bandit",
        "LinearBanditVectorEnv": "linear_bandit_vector",
        "true_info": "vector",
        "true_next_observations": "vector",
    },
)


# Environment id -> (scalar class, vector class), as gymnasium's entry points.
_ENTRY_POINTS = {
    "hf_icrl/BernoulliBandit-v0": (
        "hf_icrl.envs.bernoulli_bandit:BernoulliBanditEnv",
        "hf_icrl.envs.bernoulli_bandit_vector:BernoulliBanditVectorEnv",
    ),
    "hf_icrl/ContextualBandit-v0": (
        "hf_icrl.envs.contextual_bandit:ContextualBanditEnv",
        "hf_icrl.envs.contextual_bandit_vector:ContextualBanditVectorEnv",
    ),
    "hf_icrl/DarkRoom-v0": ("hf_icrl.envs.dark_room:DarkRoomEnv", "hf_icrl.envs.dark_room_vector:DarkRoomVectorEnv"),
    "hf_icrl/Gymnasium-v0": (
        "hf_icrl.envs.gymnasium_env:GymnasiumEnv",
        "hf_icrl.envs.gymnasium_env:GymnasiumVectorEnv",
    ),
    "hf_icrl/KeyToDoor-v0": (
        "hf_icrl.envs.key_to_door:KeyToDoorEnv",
        "hf_icrl.envs.key_to_door_vector:KeyToDoorVectorEnv",
    ),
    "hf_icrl/LinearBandit-v0": (
        "hf_icrl.envs.linear_bandit:LinearBanditEnv",
        "hf_icrl.envs.linear_bandit_vector:LinearBanditVectorEnv",
    ),
}


def register_environments():
    """Register our ids with gymnasium; ids that are registered already are left alone.

    No `max_episode_steps`: the horizon belongs to the environment, so that the scalar and the vector environment
    cannot disagree about it.
    """
    from gymnasium.envs.registration import register, registry

    for env_id, (entry_point, vector_entry_point) in _ENTRY_POINTS.items():
        if env_id not in registry:
            register(id=env_id, entry_point=entry_point, vector_entry_point=vector_entry_point)
