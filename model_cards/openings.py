"""What a dataset card says first: what acted in these histories, and what a model can learn from them."""

# By source: how the card begins. Of others it says their name.
_OPENINGS = {
    "a2c": "What actor-critic learners did while they learned, each in several copies of its environment at once, the "
    "life of every copy a history",
    "epsilon_greedy": "What epsilon-greedy learners did while they found out which arm pays the most",
    "lin_ucb": "What LinUCB learners did while they found out which arm pays the most in which context",
    "minari": "Data recorded elsewhere, from Minari",
    "noise_curriculum": "What a demonstrator did while its noise decayed, so that its return grows over a history as if "
    "it learned, which it does not",
    "oracle": "What an optimal agent did that knows its task from the first step",
    "parquet": "Data recorded elsewhere, from parquet files",
    "q_learning": "What a learner did while it learned",
    "thompson": "What Thompson sampling did while it found out which arm pays the most",
    "ucb1": "What UCB1 learners did while they found out which arm pays the most",
    "uniform": "What an agent did that acts at random",
}
_IMPROVE = (
    "A sequence model that is trained to predict the next action in such histories learns to improve in context."
)
_LESSONS = {
    "oracle": "They show an expert, not how to become one: a sequence model that is trained on them imitates the expert "
    "(expert distillation).",
    "uniform": "Nothing improves in them; they are contexts to learn from, with labels such as those of the column "
    "`optimal_actions`, or a baseline.",
}
_IMPORTED = (
    "If their order shows how somebody learned, a sequence model that is trained to predict the next action learns to "
    "improve in context; if not, it imitates."
)


def opening(source):
    """What acted: the beginning of a sentence, for `source`, the entry of `history_info.json`."""
    name = source["name"]
    if name == "stable_baselines3":
        algorithm = source["params"].get("algorithm", "an algorithm")
        return f"What learners with {algorithm} of Stable-Baselines3 did while they learned"
    return _OPENINGS.get(name, f"What the source `{name}` did")


def lesson(info):
    """A sentence on what a sequence model can learn from histories with this `history_info.json`."""
    if info["seed"] is None:
        return _IMPORTED
    return _LESSONS.get(info["source"]["name"], _IMPROVE)


def episodes_text(info):
    """How many episodes a history has: "3 episodes", "one episode each", "up to 7 episodes" of imported ones."""
    number = info["episodes"]
    if number == 1:
        return "one episode each"
    return f"up to {number:,} episodes" if info["seed"] is None else f"{number:,} episodes"
