"""Token losses of the noisy copies of every row of a pool, from the forward engine."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from sftbench_plugins.tshirt.copies import Losses

if TYPE_CHECKING:
    from sftbench import LanguageModel, Passage
    from sftbench_plugins.tshirt.noise import PairedNoise
    from sftbench_plugins.tshirt.reading import Reading


def noisy_losses(readings: Iterable[Reading], model: LanguageModel, noise: PairedNoise) -> Iterator[tuple[int, Losses]]:
    """Position in the pool and losses of every row that is a pair, in order; one pass, in which rows are not held."""
    from sftbench import Nll

    positions: deque[int] = deque()

    def passages() -> Iterator[Passage]:
        for position, reading in enumerate(readings):
            noise.expect(reading)
            if reading.pair is not None:
                positions.append(position)
                yield reading.pair.conditional
                yield reading.pair.alone

    results = model.run(passages(), statistics=[Nll()], perturb=noise)
    for conditional in results:
        alone = next(results)
        yield positions.popleft(), Losses(conditional["nll"], alone["nll"])
