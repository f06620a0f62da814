"""The networks of a report, by its options: the book's, XOR, and those that were asked for."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Any

from reports.errors import UnusableError
from reports.runner import networks
from reports.runner.data import Data
from reports.runner.networks import Network


@dataclass(frozen=True)
class Plan:
    """The options of a report (options.py), the datasets, and the networks that follow from both.

    Gradients, their cost and the check itself are those of the book's network and of XOR. Each network that
    was asked for is trained and timed, on each dataset and with each batch size. If none was, these two are,
    and some larger ones are trained for a few steps.
    """

    options: dict[str, Any]
    datasets: list[Data]

    @cached_property
    def book(self) -> Network:
        """The book's network, 784-50-10."""
        return networks.two_layer(self.datasets[0])

    @cached_property
    def wide(self) -> Network:
        """A network in which large products take most of the time."""
        return networks.two_layer(self.datasets[0], 1024, batch_size=512)

    @cached_property
    def cost(self) -> Network:
        """The network whose every parameter is differentiated by numeric methods."""
        return networks.two_layer(self.datasets[0], self.options["cost_hidden"])

    @cached_property
    def xor(self) -> Network:
        """The network that learns XOR."""
        return networks.by_name("xor_net")

    @cached_property
    def asked(self) -> list[Network]:
        """Each network that was asked for, on each dataset that it can learn, with each batch size.

        Raises:
            UnusableError: a batch size does not fit the data or the network.
        """
        found = {(network.name, network.batch_size): network for network in self._asked()}
        return list(found.values())

    def _asked(self) -> Iterator[Network]:
        models, sizes, several = (
            self.options["models"],
            self.options["batch_sizes"],
            len(self.datasets) > 1,
        )
        models = models or (["two_layer_net"] if sizes or several else [])
        for model, data, size in product(models, self.datasets, sizes or [None]):
            network = networks.by_name(model, data)
            on = f" on {data.name}" if several and not networks.has_own_data(model) else ""
            network = replace(network, name=network.name + on, batch_size=size or network.batch_size)
            _check_batches(model, network)
            yield network


def _check_batches(model: str, network: Network) -> None:
    most = len(network.splits["float64"].train)
    if network.batch_size > most:
        raise UnusableError(
            f"--batch-sizes: {network.batch_size} is more than the {most} samples of {network.name}"
        )
    if model == "mlp_batchnorm" and 1 in (network.batch_size, most % network.batch_size):
        raise UnusableError(
            f"--batch-sizes: {network.batch_size} makes a batch of 1 of the {most} samples of "
            f"{network.name}, whose batch norm needs 2 or more"
        )
