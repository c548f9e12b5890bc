"""
4. One neuron that learns from one mistake
==========================================

A neuron multiplies its inputs by weights, adds them up, and passes on what is above zero: ``relu``.
"""

# %%
# Three shapes are described by three numbers each, and belong to class 0 or 1. The neuron says 1 if its output is
# above 0.5. It gets the first two right, and the third wrong.

from gradopt import SGD, optimize, plot, problems

neuron = problems.shape_classifier()
weights = neuron.x0
print("inputs\n", neuron.X)
print("classes wanted   ", neuron.y.ravel())
print("outputs          ", neuron.predict(weights, neuron.X).round(3))

# %%
# The loss of a sample is half the squared error, and its slope along a weight is **error times input**, if the neuron
# is active. So the weights of large inputs change most. Sample by sample:

for sample, wanted in zip(neuron.X, neuron.y.ravel(), strict=True):
    output = max(sample @ weights, 0.0)
    error = output - wanted
    print(f"output {output:.3f}, wanted {wanted:.0f}, error {error: .3f}, slope {error * sample}")

# %%
# One pass over the samples, one at a time, with a rate of 1e-7: only the third sample changes anything.

result = optimize(neuron, method=SGD(1e-7), batch_size=1, epochs=1, shuffle=False)
print("change of the weights", (result.x - weights).round(6))
print("new outputs          ", neuron.predict(result.x, neuron.X).round(3))

# %%
# All three are right now. More passes bring the outputs closer to what is wanted.

longer = optimize(neuron, method=SGD(1e-7), batch_size=1, epochs=30, shuffle=False)
print("after 30 passes      ", neuron.predict(longer.x, neuron.X).round(3))
figure = plot.history(longer)

# %%
# Why is the rate so small? Because the inputs are so large: a slope is error times input. With inputs of size 1,
# rates of 0.1 are common. That is why data are scaled before they are learned from.

scaled = problems.Regressor(neuron.network, neuron.X / 1000.0, neuron.y, "half_squared_error")
result = optimize(scaled, weights * 1000.0, method=SGD(0.1), batch_size=1, epochs=30, shuffle=False)
print("with scaled inputs   ", scaled.predict(result.x, scaled.X).round(3))
