"""Gymnasium environments, one file per family. Ids are registered when gymnasium is imported.

This module stays free of gymnasium, because it runs while gymnasium itself is being imported (see
`hf_icrl/registration.py`); the classes are loaded on first use.
"""

from hf_icrl.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "DarkRoomEnv": "dark_room",
        "DarkRoomVectorEnv": "dark_room_vector",
        "true_next_observations": "vector",
    },
)


# Environment id -> (scalar class, vector class), as gymnasium's entry points.
_ENTRY_POINTS = {
    "hf_icrl/DarkRoom-v0": ("hf_icrl.envs.dark_room:DarkRoomEnv", "hf_icrl.envs.dark_room_vector:DarkRoomVectorEnv"),
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
