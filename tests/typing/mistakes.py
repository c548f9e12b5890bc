"""What a type checker must find, a line each."""

from gradopt import SGD, InverseTimeDecay, Network, Status, check_gradient, every, optimize, problems

result = optimize(problems.Rosenbrock())
print(result.nitt)
SGD("fast")
optimize(problems.Rosenbrock(), methd="sgd")
optimize(problems.Rosenbrock(), max_iter="many")
problems.Rosenbrock(c=1.0)
InverseTimeDecay(0.1, decay=None)
Network.mlp(3)
check_gradient(problems.Rosenbrock(), method="4-point")
every(3)
print(Status.DONE, result.history.nitt)
