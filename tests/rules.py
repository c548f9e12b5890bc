"""The first-order rules, with settings that tests try."""

from gradopt import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, NAdam, RAdam, RMSprop, Rprop

# The table: a rate that suits the test, and settings of which each is tried.
TABLE = {
    SGD: (
        0.05,
        [
            {},
            {"weight_decay": 0.1},
            {"momentum": 0.9},
            {"momentum": 0.9, "nesterov": True},
            {"momentum": 0.5, "dampening": 0.3},
            {"momentum": 0.5, "dampening": 1.0, "weight_decay": 0.05},
            {"momentum": 0.7, "nesterov": True, "weight_decay": 0.05},
        ],
    ),
    Adagrad: (0.3, [{}, {"lr_decay": 0.05, "weight_decay": 0.1}, {"initial_accumulator_value": 0.5, "eps": 1e-3}]),
    Adadelta: (1.0, [{}, {"rho": 0.5, "weight_decay": 0.1}, {"eps": 1e-2}]),
    RMSprop: (
        0.02,
        [
            {},
            {"alpha": 0.8, "weight_decay": 0.1},
            {"momentum": 0.6},
            {"centered": True, "eps": 1e-3},
            {"centered": True, "momentum": 0.5, "weight_decay": 0.01, "eps": 1e-3},
        ],
    ),
    Rprop: (0.01, [{}, {"etas": (0.3, 1.5)}, {"step_sizes": (1e-3, 0.02)}]),
    Adam: (
        0.02,
        [
            {},
            {"betas": (0.5, 0.9), "weight_decay": 0.1},
            {"amsgrad": True},
            {"amsgrad": True, "betas": (0.8, 0.7), "eps": 0.01},
        ],
    ),
    AdamW: (0.02, [{}, {"betas": (0.5, 0.9), "weight_decay": 0.3}, {"amsgrad": True, "betas": (0.9, 0.8)}]),
    Adamax: (0.02, [{}, {"betas": (0.5, 0.9), "weight_decay": 0.1}, {"eps": 0.1}]),
    NAdam: (0.02, [{}, {"momentum_decay": 0.2, "weight_decay": 0.1}, {"betas": (0.5, 0.9), "eps": 1e-3}]),
    RAdam: (0.02, [{}, {"betas": (0.9, 0.95), "weight_decay": 0.1}, {"betas": (0.5, 0.6)}]),
    Lion: (0.01, [{}, {"weight_decay": 0.3}, {"betas": (0.5, 0.7)}]),
}
