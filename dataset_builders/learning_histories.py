"""Learning histories as a `datasets` builder: prepared once into the `datasets` cache, then memory-mapped."""

from dataclasses import dataclass, field, fields
from typing import Any

import datasets
from datasets.builder import Key

from hf_icrl.dataset_builders.plan import CollectionPlan


@dataclass
class LearningHistoriesConfig(datasets.BuilderConfig):
    """Which histories; the arguments of `hf_icrl.collect`, whose documentation says what they mean."""

    family: str = "dark_room"
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    source: str = "noise_curriculum"
    source_params: dict[str, Any] = field(default_factory=dict)
    histories_per_task: int = 20
    episodes: int = 100
    seed: int = 0
    split_seed: int = 0
    held_out: float | int | str | list = 0.2
    validation: int = 0
    population: dict[str, Any] | None = None
    columns: list[str] = field(default_factory=list)
    subsample: int = 1
    skip: int = 0
    keep: int | None = None
    histories_per_shard: int | None = None

    def plan(self, tasks):
        """The [`CollectionPlan`] on the task set `tasks`."""
        own = {f.name for f in fields(self)} - {f.name for f in fields(datasets.BuilderConfig)}
        return CollectionPlan(**{name: getattr(self, name) for name in own}, tasks=tasks)


class LearningHistories(datasets.ArrowBasedBuilder):
    """Builds learning histories with the splits `train` (on the train tasks) and, if there are any, `held_out`.

    The cache key covers every argument and the code that generates the data, so an edited environment or a changed
    default never gets stale data. One builder serves every environment, since their histories have one schema.

    Example:
        >>> builder = LearningHistories(config_name="dark_room_q_learning", histories_per_task=2)
        >>> builder.download_and_prepare(num_proc=2)
        >>> dataset = builder.as_dataset(split="train")
    """

    BUILDER_CONFIG_CLASS = LearningHistoriesConfig
    BUILDER_CONFIGS = [
        LearningHistoriesConfig(
            name="dark_room_noise_curriculum",
            version=datasets.Version("1.0.0"),
            description="9x9 DarkRoom, AD-eps noise curriculum",
        ),
        LearningHistoriesConfig(
            name="dark_room_q_learning",
            version=datasets.Version("1.0.0"),
            description="9x9 DarkRoom, tabular Q-learning",
            source="q_learning",
        ),
        LearningHistoriesConfig(
            name="dark_room_a2c",
            version=datasets.Version("1.0.0"),
            description="9x9 DarkRoom whose goal ends the episode, A2C, every sixth episode",
            env_kwargs={"terminate_on_goal": True},
            held_out="a3c_dt",
            source="a2c",
            # 30 times the published one: learned after 300 episodes instead of 4000.
            source_params={"learning_rate": 3e-3},
            episodes=300,
            subsample=6,
        ),
        LearningHistoriesConfig(
            name="key_to_door_noise_curriculum",
            version=datasets.Version("1.0.0"),
            description="9x9 KeyToDoor, AD-eps noise curriculum",
            family="key_to_door",
            held_out="ad_eps",
            histories_per_task=1,
        ),
        LearningHistoriesConfig(
            name="bernoulli_bandit_thompson",
            version=datasets.Version("1.0.0"),
            description="Bernoulli bandits of 4 to 20 arms, Thompson sampling",
            family="bernoulli_bandit",
            population={"num": 10_000, "min_arms": 4},
            source="thompson",
            histories_per_task=1,
            episodes=1,
        ),
        LearningHistoriesConfig(
            name="contextual_bandit_lin_ucb",
            version=datasets.Version("1.0.0"),
            description="Contextual bandits of 4 to 20 arms, LinUCB",
            family="contextual_bandit",
            population={"num": 10_000, "min_arms": 4},
            source="lin_ucb",
            histories_per_task=1,
            episodes=1,
        ),
    ]
    DEFAULT_CONFIG_NAME = "dark_room_noise_curriculum"

    def _create_builder_config(self, *args, **kwargs):
        config, config_id = super()._create_builder_config(*args, **kwargs)
        self.plans = {"train": config.plan("train")}
        if self.plans["train"].all_tasks["held_out"]:
            self.plans["held_out"] = config.plan("held_out")
        # `datasets` keys its cache by module, config name and overrides. It knows neither the defaults that a named
        # config stands for nor our code; the hash adds a level to the path that does.
        self.hash = self.plans["train"].digest
        return config, config_id

    def _info(self):
        plan = self.plans["train"]
        return datasets.DatasetInfo(
            description=f"{self.config.description}. {plan.source.describe()}", features=plan.features
        )

    def _split_generators(self, dl_manager):
        return [
            datasets.SplitGenerator(
                name=datasets.NamedSplit(split),
                # `datasets` divides the lists among its processes.
                gen_kwargs={"split": split, "shards": list(range(plan.num_shards))},
            )
            for split, plan in self.plans.items()
        ]

    def _generate_tables(self, split, shards):
        for shard in shards:
            for place, table in enumerate(self.plans[split].tables(shard, self._output_dir)):
                yield Key(shard, place), table
