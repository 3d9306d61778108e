"""How many histories make a file, if nobody says: many enough to be made fast, few enough to lose little."""

# Steps of a shard. Runs step side by side, and a step costs nearly as much for one run as for hundreds.
STEPS = 2**22
# Where histories are so long that few would fit, this many are made side by side all the same, up to so many steps.
FEW_HISTORIES, MOST_STEPS = 64, 2**25
# Where they are so short that very many would fit: more gain nothing, and their tables leave the processor's cache.
MANY_HISTORIES = 2048
# Learners that run one after the other gain nothing from company.
STEPS_ONE_BY_ONE = 2**18
# The steps above are of so many bytes on disk; of larger ones there are fewer.
BYTES_A_STEP = 32


def default_histories_per_shard(source, num_histories, steps, bytes_a_step):
    """Histories of a shard: a multiple of `source.streams`, so that nearly all shards are of one size.

    Args:
        source (`hf_icrl.sources.Source`): its `streams` and `side_by_side`.
        num_histories (`int`): of the whole collection.
        steps (`int`): the most that are recorded of a history.
        bytes_a_step (`int`): on disk.
    """
    scale = max(1.0, bytes_a_step / BYTES_A_STEP)

    def fit(limit):
        return int(limit / scale) // steps

    if source.side_by_side:
        histories = min(max(fit(STEPS), min(FEW_HISTORIES, fit(MOST_STEPS))), MANY_HISTORIES)
    else:
        histories = fit(STEPS_ONE_BY_ONE)
    learners = -(-num_histories // source.streams)
    shards = -(-learners // max(1, histories // source.streams))
    # An even number, so that two processes have as much to do.
    shards = min(shards + (shards > 1) * (shards % 2), learners)
    return -(-learners // shards) * source.streams
