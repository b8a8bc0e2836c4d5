import multiprocessing
import signal
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vitlab.data.batches import MemoryBatches, Plan, StreamBatches, epoch_order
from vitlab.data.decode import decode
from vitlab.data.image_folder import ImageFolder
from vitlab.data.source import Pixels, Request

CPU = torch.device("cpu")


@given(st.integers(1, 200), st.integers(1, 40), st.integers(0, 5), st.integers(1, 4))
def test_processes_share_the_very_batches_of_one(count, batch_size, epoch, world_size):
    whole = list(Plan(np.arange(count), batch_size, 0, True).epoch(epoch, 0))
    assert sorted(np.concatenate(whole)) == list(range(count))
    ranks = [Plan(np.arange(count), batch_size, 0, True, None, rank, world_size) for rank in range(world_size)]
    for number, (batch, *shares) in enumerate(zip(whole, *(plan.epoch(epoch, 0) for plan in ranks), strict=True)):
        assert all(plan.images_in(number) == len(batch) for plan in ranks)
        counted = [share[: len(range(rank, len(batch), world_size))] for rank, share in enumerate(shares)]
        assert sorted(np.concatenate(counted)) == sorted(batch)
        assert all(len(share) for share in shares)  # none may be missing when they meet


def test_the_order_is_a_function_of_seed_and_epoch():
    orders = {key: tuple(epoch_order(50, *key, shuffle=True)) for key in ((0, 0), (0, 1), (1, 0))}
    assert len(set(orders.values())) == 3
    assert all(tuple(epoch_order(50, *key, shuffle=True)) == order for key, order in orders.items())
    assert list(epoch_order(5, 0, 0, shuffle=False)) == [0, 1, 2, 3, 4]


def numbered(count):
    """Images that show their own number."""
    return Pixels(torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2), torch.arange(count))


def batches(count=10, indices=None, **settings):
    indices = np.arange(count) if indices is None else indices
    plan = Plan(indices, **{"batch_size": 4, "seed": 0, "shuffle": True, **settings})
    return MemoryBatches(numbered(count), plan, CPU)


def shown(batches, *position):
    return [labels.tolist() for _, labels in batches.epoch(*position)]


def test_images_and_labels_belong_together_and_the_last_batch_is_kept():
    found = list(batches().epoch(0))
    assert [len(labels) for _, labels in found] == [4, 4, 2]
    for images, labels in found:
        assert images.dtype == torch.uint8
        assert torch.equal(images[:, 0, 0, 0].long(), labels)
    assert len(batches()) == 3
    assert batches().num_images == 10


@pytest.mark.parametrize("start", range(4))
def test_an_epoch_can_be_entered_at_any_batch(start):
    assert shown(batches(), 2, start) == shown(batches(), 2)[start:]


def test_a_split_shows_only_its_own_images():
    indices = np.array([1, 3, 5, 7, 9])
    assert sorted(chain(*shown(batches(indices=indices), 0))) == indices.tolist()


def test_a_limit_shortens_the_epoch():
    limited = batches(limit=2)
    assert shown(limited, 0) == shown(batches(), 0)[:2]
    assert (len(limited), limited.num_images) == (2, 8)
    assert len(batches(limit=99)) == 3


def test_processes_share_the_epoch():
    ranks = [batches(rank=rank, world_size=2) for rank in range(2)]
    assert sorted(chain(*(chain(*shown(r, 0)) for r in ranks))) == list(range(10))
    assert [r.num_images for r in ranks] == [10, 10]
    assert [r.images_in(2) for r in ranks] == [2, 2]


def test_the_numbers_of_a_batch_are_those_of_its_images():
    for rank in range(2):
        share = batches(indices=np.array([9, 3, 5, 0, 7, 2, 8]), rank=rank, world_size=2)
        assert [share.numbers(1, batch) for batch in range(2)] == shown(share, 1)


@pytest.fixture
def folder(write_folder):
    return write_folder({"train": {"cat": 7, "dog": 6}}, size=20)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_streamed_batches_are_those_from_memory_bit_for_bit(folder, num_workers):
    request = Request(16, 3, 2**30, folder)
    files = ImageFolder(None).read(Request(16, 3, 0, folder))[0]["train"]
    pixels = ImageFolder(None).read(request)[0]["train"]
    plan = Plan(np.arange(1, 12), batch_size=4, seed=3, shuffle=True)
    stream, memory = StreamBatches(files, plan, CPU, request, num_workers), MemoryBatches(pixels, plan, CPU)
    assert len(stream) == len(memory) == 3
    assert stream.num_images == memory.num_images
    for position in ((0, 0), (1, 2)):
        pairs = list(zip(stream.epoch(*position), memory.epoch(*position), strict=True))
        assert pairs
        for (images, labels), (expected, expected_labels) in pairs:
            assert torch.equal(images, expected)
            assert torch.equal(labels, expected_labels)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_image_that_breaks_while_streaming_is_named(folder, num_workers):
    files = ImageFolder(None).read(Request(16, 3, 0, folder))[0]["train"]
    files.paths[5].write_bytes(b"broken")
    with pytest.raises(ValueError, match="cannot be decoded"):
        decode(files.paths[5], 16, 3)
    plan = Plan(np.arange(13), batch_size=4, seed=0, shuffle=False)
    with pytest.raises(OSError, match=rf"{files.paths[5].name} cannot be decoded"):
        list(StreamBatches(files, plan, CPU, Request(16, 3, 0, folder), num_workers).epoch(0))


@pytest.mark.faults
def test_a_worker_that_is_killed_is_told_by_the_next_batch_and_by_nothing_before(folder):
    files = ImageFolder(None).read(Request(16, 3, 0, folder))[0]["train"]
    plan = Plan(np.arange(13), batch_size=2, seed=0, shuffle=False)
    epoch = StreamBatches(files, plan, CPU, Request(16, 3, 0, folder), num_workers=1).epoch(0)
    next(epoch)
    (worker,) = multiprocessing.active_children()
    worker.kill()
    worker.join()
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
    with pytest.raises(OSError, match=r"a process that reads images was killed.*data\.num_workers"):
        list(epoch)
