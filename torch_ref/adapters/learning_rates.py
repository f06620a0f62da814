"""The names that people give to a learning rate, in small letters."""

# By these also an attribute of a layer is one, where alpha is a slope, and rate that of a dropout.
ALWAYS = (
    *("lr", "learning_rate", "current_learning_rate", "learn_rate", "eta", "step_size"),
    *("learningrate", "learning_rates", "lrate", "l_rate", "lr_rate", "stepsize", "epsilon_lr"),
)
RATES = (*ALWAYS, "rate", "alpha")
