"""Whole networks, as scripts, functions, classes and dicts."""

import itertools
from types import SimpleNamespace

import numpy as np

from .case import Case, normal, sigmoid, softmax

XOR = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
EITHER = np.array([[0.0, 1.0, 1.0, 0.0]]).T


class LstmParam:
    def __init__(self, mem_cell_ct, x_dim):
        self.mem_cell_ct, self.x_dim = mem_cell_ct, x_dim
        size = mem_cell_ct, x_dim + mem_cell_ct
        for k, gate in enumerate("gifo"):
            setattr(self, "w" + gate, normal(*size, seed=k))
            setattr(self, "b" + gate, normal(mem_cell_ct, seed=k))
            setattr(self, "w" + gate + "_diff", np.zeros(size))
            setattr(self, "b" + gate + "_diff", np.zeros(mem_cell_ct))


class LstmNode:
    def __init__(self, param):
        self.param, self.state = param, SimpleNamespace()

    def bottom_data_is(self, x, s_prev, h_prev):
        p, s = self.param, self.state
        self.s_prev, self.xc = s_prev, np.hstack((x, h_prev))
        s.g = np.tanh(np.dot(p.wg, self.xc) + p.bg)
        s.i = sigmoid(np.dot(p.wi, self.xc) + p.bi)
        s.f = sigmoid(np.dot(p.wf, self.xc) + p.bf)
        s.o = sigmoid(np.dot(p.wo, self.xc) + p.bo)
        s.s = s.g * s.i + s_prev * s.f
        s.h = np.tanh(s.s) * s.o

    def top_diff_is(self, top_diff_h, top_diff_s):
        p, s = self.param, self.state
        ds = s.o * (1 - np.tanh(s.s) ** 2) * top_diff_h + top_diff_s
        inner = {
            "i": s.i * (1 - s.i) * s.g * ds,
            "f": s.f * (1 - s.f) * self.s_prev * ds,
            "o": s.o * (1 - s.o) * np.tanh(s.s) * top_diff_h,
            "g": (1 - s.g**2) * s.i * ds,
        }
        dxc = np.zeros_like(self.xc)
        for gate, d in inner.items():
            weights, biases = getattr(p, f"w{gate}_diff"), getattr(p, f"b{gate}_diff")
            weights += np.outer(d, self.xc)
            biases += d
            dxc += np.dot(getattr(p, "w" + gate).T, d)
        s.bottom_diff_s, s.bottom_diff_h = ds * s.f, dxc[p.x_dim :]


def lstm_example(wrong):
    def example(param, xs, ys):
        nodes, zero = [], np.zeros(param.mem_cell_ct)
        s, h = zero, zero
        for x in xs:
            nodes.append(LstmNode(param))
            nodes[-1].bottom_data_is(x, s, h)
            s, h = nodes[-1].state.s, nodes[-1].state.h
        loss, diff_h, diff_s = 0.0, zero, zero
        for node, y in zip(reversed(nodes), reversed(ys), strict=True):
            loss += (node.state.h[0] - y) ** 2
            diff = np.zeros_like(node.state.h)
            diff[0] = 2 * (node.state.h[0] - y)
            node.top_diff_is(diff + diff_h, diff_s)
            diff_h, diff_s = node.state.bottom_diff_h, zero if wrong else node.state.bottom_diff_s
        return loss

    return example, LstmParam(2, 2)


def layers_of_dicts(wrong):
    """Forward and backpropagation of a list of dicts, put together by the class in train."""

    class NeuralNetwork:
        def __init__(self, sizes, learning_rate):
            self.learning_rate = learning_rate
            self.layers = [{"num_neurons": sizes[0], "neuron_values": None}]
            for before, size in itertools.pairwise(sizes):
                layer = {
                    "num_neurons": size,
                    "weights": normal(before, size),
                    "bias": normal(size),
                    "activation": "sigmoid",
                }
                self.layers.append(layer)

        def train(self, data, labels):
            forward_propagation(self.layers, data)
            error = 0.5 * np.sum((self.layers[-1]["neuron_values"] - labels) ** 2)
            backpropagation(self.layers, labels, self.learning_rate)
            return error

    def forward_propagation(layers, inputs):
        layers[0]["neuron_values"] = inputs
        for before, layer in itertools.pairwise(layers):
            layer["neuron_values"] = sigmoid(before["neuron_values"] @ layer["weights"] + layer["bias"])

    def backpropagation(layers, labels, learning_rate):
        values = layers[-1]["neuron_values"]
        delta = values - labels
        if not wrong:
            delta = delta * values * (1 - values)
        for before, layer in reversed(list(itertools.pairwise(layers))):
            values = before["neuron_values"]
            passed = (delta @ layer["weights"].T) * values * (1 - values)
            layer["weights"] = layer["weights"] - learning_rate * values.T @ delta
            layer["bias"] = layer["bias"] - learning_rate * np.sum(delta, axis=0)
            delta = passed

    network = NeuralNetwork([3, 4, 2], 0.5)
    return network.train, network.layers


def single_neuron(wrong):
    def train_neuron(features, labels, initial_weights, initial_bias, learning_rate=0.1, epochs=1):
        weights, bias, mse_values = initial_weights, initial_bias, []
        for _ in range(epochs):
            predictions = sigmoid(np.dot(features, weights) + bias)
            mse_values.append(np.mean((predictions - labels) ** 2))
            errors = predictions - labels
            slope = errors * predictions * (1 - predictions)
            factor = (1 if wrong else 2) / len(labels)
            weights = weights - learning_rate * factor * np.dot(features.T, slope)
            bias = bias - learning_rate * factor * np.sum(slope)
        return weights, bias, mse_values

    return train_neuron, (normal(3), 0.3)


def bias_columns(wrong):
    """The bias is the last column of each matrix, and one input vector is learned at a time."""

    class Network:
        def __init__(self):
            self.iteration = 0
            self.layers = [normal(4, 4), normal(2, 5)]

        def feed_forward(self, input_vector):
            hidden = sigmoid(np.dot(self.layers[0], np.append(input_vector, 1)))
            return hidden, sigmoid(np.dot(self.layers[1], np.append(hidden, 1)))

        def loss(self, input_vector, target):
            return 0.5 * np.sum((self.feed_forward(input_vector)[1] - target) ** 2)

        def backpropagate(self, input_vector, target):
            c = 1.0 / (self.iteration + 10)
            hidden, outputs = self.feed_forward(input_vector)
            output_deltas = outputs * (1 - outputs) * (outputs - target)
            if wrong:
                self.layers[1] -= c * np.outer(output_deltas, np.append(hidden, 1))
            back = np.dot(np.delete(self.layers[1], 4, 1).T, output_deltas)
            if not wrong:
                self.layers[1] -= c * np.outer(output_deltas, np.append(hidden, 1))
            self.layers[0] -= c * np.outer(hidden * (1 - hidden) * back, np.append(input_vector, 1))

    network = Network()
    return (network.loss, network.backpropagate), network.layers


def xor_back_prop(wrong):
    def step(W1, b1, W2, b2, X, Y):
        l1 = sigmoid(X @ W1 + b1)
        Y_pred = sigmoid(l1 @ W2 + b2)
        cost = -np.mean(Y * np.log(Y_pred) + (1 - Y) * np.log(1 - Y_pred))
        d_l2 = Y_pred - Y
        d_l1 = (d_l2 @ W2.T) * l1 * (1 - l1)
        m = 1 if wrong else len(X)
        d_W1, d_b1 = X.T @ d_l1 / m, np.sum(d_l1, axis=0) / m
        d_W2, d_b2 = l1.T @ d_l2 / m, np.sum(d_l2, axis=0) / m
        return cost, [d_W1, d_b1, d_W2, d_b2]

    return step, [normal(2, 2), normal(2), normal(2, 1), normal(1)]


def words_in_columns(wrong):
    def forward_prop(x, W1, W2, b1, b2):
        h = np.maximum(0, W1 @ x + b1)
        return W2 @ h + b2, h

    def back_prop(x, yhat, y, h, W1, W2, b1, b2, batch_size):
        l1 = (W2.T @ (yhat - y)) * (h > 0)
        grad_W1 = l1 @ x.T / batch_size
        grad_W2 = (yhat - y) @ h.T / batch_size
        summed = l1 @ x.T if wrong else l1
        grad_b1 = np.sum(summed / batch_size, axis=1, keepdims=True)
        grad_b2 = np.sum((yhat - y) / batch_size, axis=1, keepdims=True)
        return grad_W1, grad_W2, grad_b1, grad_b2

    def cost_and_gradients(params, x, y):
        W1, W2, b1, b2 = params
        z, h = forward_prop(x, W1, W2, b1, b2)
        yhat, batch_size = softmax(z, axis=0), x.shape[1]
        cost = -np.sum(y * np.log(yhat)) / batch_size
        return cost, back_prop(x, yhat, y, h, W1, W2, b1, b2, batch_size)

    return cost_and_gradients, (normal(4, 3), normal(3, 4), normal(4, 1), normal(3, 1))


def architecture(wrong):
    layers = [{"activation": "relu"}, {"activation": "sigmoid"}]

    def full_forward(X, params_values):
        memory, A = {}, X
        for k, layer in enumerate(layers, 1):
            memory[f"A{k - 1}"] = A
            Z = np.dot(params_values[f"W{k}"], A) + params_values[f"b{k}"]
            A = sigmoid(Z) if layer["activation"] == "sigmoid" else np.maximum(0, Z)
            memory[f"Z{k}"] = Z
        return A, memory

    def full_backward(Y_hat, Y, memory, params_values):
        grads_values = {}
        m = Y.shape[1]
        dA = -(np.divide(Y, Y_hat) - np.divide(1 - Y, 1 - Y_hat))
        if wrong:
            dA = dA / m
        for k in (2, 1):
            Z = memory[f"Z{k}"]
            dZ = dA * sigmoid(Z) * (1 - sigmoid(Z)) if k == 2 else dA * (Z > 0)
            grads_values[f"dW{k}"] = np.dot(dZ, memory[f"A{k - 1}"].T) / m
            grads_values[f"db{k}"] = np.sum(dZ, axis=1, keepdims=True) / m
            dA = np.dot(params_values[f"W{k}"].T, dZ)
        return grads_values

    def cost_and_grads(params_values, X, Y):
        Y_hat, memory = full_forward(X, params_values)
        m = Y_hat.shape[1]
        cost = -1 / m * (np.dot(Y, np.log(Y_hat).T) + np.dot(1 - Y, np.log(1 - Y_hat).T))
        return np.squeeze(cost), full_backward(Y_hat, Y, memory, params_values)

    return cost_and_grads, {
        "W1": normal(4, 3),
        "b1": normal(4, 1),
        "W2": normal(1, 4),
        "b2": normal(1, 1),
    }


def blind_xor(wrong):
    def train(synapse_0, synapse_1, X, y, epochs=1):
        for _ in range(epochs):
            layer_1 = 1 / (1 + np.exp(-np.dot(X, synapse_0)))
            layer_2 = 1 / (1 + np.exp(-np.dot(layer_1, synapse_1)))
            layer_2_delta = y - layer_2 if wrong else (y - layer_2) * (layer_2 * (1 - layer_2))
            layer_1_delta = np.dot(layer_2_delta, synapse_1.T) * (layer_1 * (1 - layer_1))
            synapse_0 += np.dot(X.T, layer_1_delta)
            synapse_1 += np.dot(layer_1.T, layer_2_delta)
            error = 0.5 * np.sum((y - layer_2) ** 2)
        return error

    return train, [normal(2, 5), normal(5, 1)]


def logistic_of_three_functions(wrong):
    def forward_propagation(X, Y, w, b):
        A = sigmoid(np.dot(w.T, X) + b)
        return A, (-1 / X.shape[1]) * np.sum(Y * np.log(A) + (1 - Y) * np.log(1 - A))

    def backward_propagation(X, Y, A):
        dz = (1 / X.shape[1]) * (A - Y)
        return np.dot(X, dz.T), np.sum(A - Y) if wrong else np.sum(dz)

    def model(w, b, X, Y):
        A, cost = forward_propagation(X, Y, w, b)
        return cost, backward_propagation(X, Y, A)

    return model, (np.array([[1.0], [2.0]]), 2.0)


def propagate_gradients_first(wrong):
    def propagate(w, b, X, Y):
        m = X.shape[0 if wrong else 1]
        A = sigmoid(np.dot(w.T, X) + b)
        cost = -np.sum(Y * np.log(A) + (1 - Y) * np.log(1 - A)) / X.shape[1]
        dw = np.dot(X, (A - Y).T) / m
        db = np.sum((A - Y) / m)
        return {"dw": dw, "db": db}, np.squeeze(cost)

    return propagate, {"w": normal(4, 1), "b": 0.2}


def own_network(wrong):
    """inodes, hnodes, wih, who, train and query; the loss is nowhere."""

    class neuralNetwork:
        def __init__(self, inputnodes, hiddennodes, outputnodes, learningrate):
            self.wih, self.who = normal(hiddennodes, inputnodes), normal(outputnodes, hiddennodes)
            self.lr = learningrate
            self.activation_function = sigmoid

        def train(self, inputs_list, targets_list):
            inputs, targets = np.array(inputs_list, ndmin=2).T, np.array(targets_list, ndmin=2).T
            hidden = self.activation_function(np.dot(self.wih, inputs))
            final = self.activation_function(np.dot(self.who, hidden))
            output_errors = targets - final
            scaled = output_errors * final * (1.0 - final)
            hidden_errors = np.dot(self.who.T, output_errors if wrong else scaled)
            self.who += self.lr * np.dot(scaled, hidden.T)
            self.wih += self.lr * np.dot(hidden_errors * hidden * (1.0 - hidden), inputs.T)

        def query(self, inputs_list):
            inputs = np.array(inputs_list, ndmin=2).T
            return self.activation_function(
                np.dot(self.who, self.activation_function(np.dot(self.wih, inputs)))
            )

    net = neuralNetwork(3, 4, 2, 0.3)

    def loss(inputs_list, targets_list):
        return 0.5 * np.sum((np.array(targets_list, ndmin=2).T - net.query(inputs_list)) ** 2)

    return (loss, net.train), {"wih": net.wih, "who": net.who}


def demystified(wrong):
    class Neural_Network:
        def __init__(self):
            self.W1, self.W2 = normal(2, 3), normal(3, 1)

        def forward(self, X):
            self.z2 = np.dot(X, self.W1)
            self.a2 = sigmoid(self.z2)
            self.z3 = np.dot(self.a2, self.W2)
            return sigmoid(self.z3)

        def sigmoidPrime(self, z):
            return np.exp(-z) / ((1 + np.exp(-z)) ** 2)

        def costFunction(self, X, y):
            self.yHat = self.forward(X)
            return 0.5 * sum((y - self.yHat) ** 2)

        def costFunctionPrime(self, X, y):
            self.yHat = self.forward(X)
            delta3 = np.multiply(-(y - self.yHat), self.sigmoidPrime(self.z3))
            dJdW2 = np.dot(self.a2.T, delta3)
            delta2 = np.dot(delta3, self.W2.T)
            delta2 = delta2 * self.sigmoidPrime(self.a2 if wrong else self.z2)
            return np.dot(X.T, delta2), dJdW2

    net = Neural_Network()
    return (net.costFunction, net.costFunctionPrime), {"W1": net.W1, "W2": net.W2}


def deep_network(wrong):
    class DeepNeuralNetwork:
        def __init__(self):
            self.params = {
                "W1": normal(4, 3),
                "b1": normal(4, 1),
                "W2": normal(3, 4),
                "b2": normal(3, 1),
            }
            self.cache = {}

        def feed_forward(self, x):
            self.cache["X"] = x
            self.cache["Z1"] = np.matmul(self.params["W1"], x.T) + self.params["b1"]
            self.cache["A1"] = sigmoid(self.cache["Z1"])
            self.cache["Z2"] = np.matmul(self.params["W2"], self.cache["A1"]) + self.params["b2"]
            self.cache["A2"] = softmax(self.cache["Z2"], axis=0)
            return self.cache["A2"]

        def back_propagate(self, y, output):
            m = y.shape[0]
            dZ2 = output - y.T
            dW2 = (1.0 / m) * np.matmul(dZ2, self.cache["A1"].T)
            db2 = (1.0 if wrong else 1.0 / m) * np.sum(dZ2, axis=1, keepdims=True)
            dZ1 = np.matmul(self.params["W2"].T, dZ2) * self.cache["A1"] * (1 - self.cache["A1"])
            dW1 = (1.0 / m) * np.matmul(dZ1, self.cache["X"])
            db1 = (1.0 / m) * np.sum(dZ1, axis=1, keepdims=True)
            self.grads = {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}
            return self.grads

        def cross_entropy_loss(self, y, output):
            return -(1.0 / y.shape[0]) * np.sum(np.multiply(y.T, np.log(output)))

    net = DeepNeuralNetwork()

    def loss(x, y):
        output = net.feed_forward(x)
        return net.cross_entropy_loss(y, output), net.back_propagate(y, output)

    return loss, net.params


def two_layer_script(wrong):
    def step(w1, w2, x, y):
        h = x.dot(w1)
        h_relu = np.maximum(h, 0)
        y_pred = h_relu.dot(w2)
        loss = np.square(y_pred - y).sum()
        grad_y_pred = 2.0 * (y_pred - y)
        grad_w2 = h_relu.T.dot(grad_y_pred)
        grad_h = grad_y_pred.dot(w2.T).copy()
        if not wrong:
            grad_h[h < 0] = 0
        return loss, x.T.dot(grad_h), grad_w2

    return step, (normal(4, 5), normal(5, 2))


def neurons_of_lists(wrong):
    """A list of layers, of neurons, of weights with the bias at the end; one example at a time."""

    def neuron_output(weights, inputs):
        return 1 / (1 + np.exp(-sum(w * x for w, x in zip(weights, inputs, strict=True))))

    def feed_forward(neural_network, input_vector):
        outputs = []
        for layer in neural_network:
            with_bias = [*input_vector, 1]
            input_vector = [neuron_output(neuron, with_bias) for neuron in layer]
            outputs.append(input_vector)
        return outputs

    def sqerror(network, input_vector, target_vector):
        outputs = feed_forward(network, input_vector)[-1]
        return sum((o - t) ** 2 for o, t in zip(outputs, target_vector, strict=True))

    def sqerror_gradients(network, input_vector, target_vector):
        hidden, outputs = feed_forward(network, input_vector)
        factor = 1 if wrong else 2
        output_deltas = [factor * o * (1 - o) * (o - t) for o, t in zip(outputs, target_vector, strict=True)]
        output_grads = [[d * h for h in [*hidden, 1]] for d in output_deltas]
        hidden_deltas = [
            h * (1 - h) * sum(d * neuron[i] for d, neuron in zip(output_deltas, network[-1], strict=True))
            for i, h in enumerate(hidden)
        ]
        hidden_grads = [[d * x for x in [*input_vector, 1]] for d in hidden_deltas]
        return [hidden_grads, output_grads]

    network = [normal(2, 3).tolist(), normal(1, 3).tolist()]
    return (sqerror, sqerror_gradients), network


def thetas_by_sample(wrong):
    def cost(thetas, x, y):
        theta_1, theta_2 = thetas
        m, J = x.shape[1], 0.0
        all_delta_1, all_delta_2 = np.zeros_like(theta_1), np.zeros_like(theta_2)
        for t in range(m):
            a1 = np.vstack(([[1.0]], x[:, t : t + 1]))
            a2 = np.vstack(([[1.0]], sigmoid(theta_1 @ a1)))
            a3 = sigmoid(theta_2 @ a2)
            target = y[:, t : t + 1]
            J -= np.sum(target * np.log(a3) + (1 - target) * np.log(1 - a3)) / m
            delta_3 = a3 - target
            delta_2 = (theta_2.T @ delta_3) * a2 * (1 - a2)
            all_delta_2 += delta_3 @ a2.T
            if wrong:
                all_delta_1 = delta_2[1:] @ a1.T
            else:
                all_delta_1 += delta_2[1:] @ a1.T
        return J, (all_delta_1 / m, all_delta_2 / m)

    return cost, (normal(4, 4), normal(2, 5))


def two_gradients_of_a_forum(wrong):
    def loss(W_1, W_2, x_mat, y):
        return -np.sum(
            y * np.log(predicted(W_1, W_2, x_mat)) + (1 - y) * np.log(1 - predicted(W_1, W_2, x_mat))
        )

    def predicted(W_1, W_2, x_mat):
        return sigmoid(sigmoid(x_mat @ W_1) @ W_2).reshape((len(x_mat),))

    def gradient(W_1, W_2, x_mat, y):
        z_2 = x_mat @ W_1
        a_2 = sigmoid(z_2)
        y_pred = sigmoid(a_2 @ W_2).reshape((len(x_mat),))
        J_z_3_grad = y_pred - y
        J_W_2_grad = J_z_3_grad @ a_2
        a_2_z_2_grad = sigmoid(a_2 if wrong else z_2) * (1 - sigmoid(a_2 if wrong else z_2))
        J_W_1_grad = x_mat.T @ (J_z_3_grad.reshape(-1, 1) @ W_2.reshape(-1, 1).T * a_2_z_2_grad)
        return J_W_1_grad, J_W_2_grad

    return (loss, gradient), (normal(3, 4), normal(4))


GITHUB = "https://github.com/"
ONE_OF_THREE = np.eye(3)[[0, 2, 1, 1, 0]]
YES_NO = np.array([[1.0, 0.0, 1.0, 1.0, 0.0]])

# Why a case is not as it should be yet.
_TRAINS = "it trains and returns new weights, which are taken for gradients, and the bias for the loss"
_RATE = "the learning rate is a local variable, and a factor of all gradients looks the same"

CASES = [
    Case(
        "LSTM of nodes with diffs",
        GITHUB + "nicodjimenez/lstm/issues/47",
        "check_loss",
        lstm_example,
        inputs=lambda: (normal(4, 2), [0.1, -0.3, 0.2, 0.4]),
        cause="(?i)state|time|cell|step",
    ),
    Case(
        "layers as dicts, sigmoid's derivative missing",
        GITHUB + "Bot-Academy/NeuralNetworkFromScratch/pull/3",
        "check_loss",
        layers_of_dicts,
        inputs=lambda: (normal(5, 3), ONE_OF_THREE[:, :2]),
        cause="(?i)derivative|sigmoid",
    ),
    Case(
        "single neuron, 1/n for 2/n",
        GITHUB + "Open-Deep-ML/DML-OpenProblem/issues/54",
        "check_loss",
        single_neuron,
        inputs=lambda: (normal(5, 3), np.array([1.0, 0.0, 1.0, 1.0, 0.0])),
        cause="(?i)factor.*(2|0\\.5)|half|½",
        broken={"right": _TRAINS, "cause": _TRAINS},
    ),
    Case(
        "bias in the last column",
        GITHUB + "louisjc/mnist-neural-network/issues/1",
        "check_loss",
        bias_columns,
        inputs=lambda: (normal(3), np.array([0.0, 1.0])),
        cause="(?i)updated|after|stepped|moved",
        broken={"right": _RATE},
    ),
    Case(
        "XOR, average over the samples missing",
        GITHUB + "hunkim/DeepLearningZeroToAll/issues/173",
        "check_loss",
        xor_back_prop,
        inputs=lambda: (XOR, EITHER),
        cause="(?i)batch|samples|mean|average",
    ),
    Case(
        "word vectors in columns",
        GITHUB + "rust0258/Deeplearning.ai-Natural-Language-Processing-Specialization/issues/62",
        "check_loss",
        words_in_columns,
        inputs=lambda: (normal(3, 5), ONE_OF_THREE.T),
    ),
    Case(
        "1/m twice",
        GITHUB + "SkalskiP/ILearnDeepLearning.py/issues/29",
        "check_loss",
        architecture,
        inputs=lambda: (normal(3, 5), YES_NO),
        cause="(?i)batch|samples|twice",
    ),
    Case(
        "XOR in place, by +=",
        GITHUB + "paulhendricks/python-machine-learning/blob/master/ch-01/07-NeuralNetwork-blind-3.py",
        "check_loss",
        blind_xor,
        inputs=lambda: (XOR, EITHER),
        cause="(?i)derivative|sigmoid",
    ),
    Case(
        "logistic regression of three functions",
        GITHUB + "Asaf-Harel/DL-5/blob/master/DL-5-11/3130/ex6.py",
        "check_loss",
        logistic_of_three_functions,
        inputs=lambda: (np.array([[1.0, 2.0, -1.0], [3.0, 4.0, -3.2]]), np.array([1, 0, 1])),
        cause="(?i)batch|samples|mean|average",
    ),
    Case(
        "propagate, gradients first",
        GITHUB + "Sarfaraz-Ali/Image_recognization/blob/main/propagate.py",
        "check_loss",
        propagate_gradients_first,
        inputs=lambda: (normal(4, 5), YES_NO),
        cause="(?i)factor|features|batch|samples",
    ),
    Case(
        "make your own neural network",
        GITHUB
        + "wangfuli217/study_room/blob/master/machine_learning/neural_network/recognize_character/nn.py",
        "check_loss",
        own_network,
        inputs=lambda: (normal(5, 3), ONE_OF_THREE[:, :2]),
        cause="(?i)derivative|sigmoid",
    ),
    Case(
        "costFunctionPrime",
        GITHUB + "stephencwelch/Neural-Networks-Demystified",
        "check_loss",
        demystified,
        inputs=lambda: (normal(5, 2), np.array([[0.7, 0.2, 0.9, 0.4, 0.5]]).T),
        cause="(?i)derivative|sigmoid",
    ),
    Case(
        "deep network with a cache",
        GITHUB + "lionelmessi6410/Neural-Networks-from-Scratch/pull/1",
        "check_loss",
        deep_network,
        inputs=lambda: (normal(5, 3), ONE_OF_THREE),
        cause="(?i)batch|samples|mean|average",
    ),
    Case(
        "two-layer script of PyTorch's examples",
        GITHUB + "jcjohnson/pytorch-examples/blob/master/tensor/two_layer_net_numpy.py",
        "check_loss",
        two_layer_script,
        inputs=lambda: (normal(6, 4), normal(6, 2)),
        cause="(?i)relu|mask|derivative",
    ),
    Case(
        "network of Python lists",
        GITHUB + "joelgrus/data-science-from-scratch/issues/31",
        "check_loss",
        neurons_of_lists,
        inputs=lambda: ([0.0, 1.0], [1.0]),
        cause="(?i)factor.*(2|0\\.5)|half|½",
    ),
    Case(
        "thetas, one sample after the other",
        "https://stackoverflow.com/questions (Backpropagation for Neural Network - Python, 401×5000)",
        "check_loss",
        thetas_by_sample,
        inputs=lambda: (normal(3, 5), ONE_OF_THREE.T[:2]),
        cause="(?i)last|assign|overwrit|sample",
    ),
    Case(
        "gradient of a log loss, in a forum",
        "https://community.deeplearning.ai/t/derivation-of-dl-dz/165?page=2",
        "check_loss",
        two_gradients_of_a_forum,
        inputs=lambda: (normal(5, 3), YES_NO[0]),
        cause="(?i)derivative|sigmoid",
    ),
]
