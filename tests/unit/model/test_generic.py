"""What a node has that Covey knows nothing of: by name or by number, never both."""

import pytest

from covey import limits
from covey.errors import InvalidArgument
from covey.model import generic
from covey.model.specs import GenericResource

A, B, SSD = GenericResource("gpu", "a", 1), GenericResource("gpu", "b", 1), GenericResource("ssd", count=3)


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ((), ()),
        (("gpu=a", "gpu=b", "ssd=3"), (A, B, SSD)),
        (("gpu=a,gpu=b", " ssd = 3 "), (A, B, SSD)),
        (
            ("gpu=UUID-0:a/b", "GPU=1"),
            (GenericResource("gpu", "UUID-0:a/b", 1), GenericResource("GPU", count=1)),
        ),
        (("fpga.x-1=0x2",), (GenericResource("fpga.x-1", "0x2", 1),)),
    ],
)
def test_what_a_node_offers_is_read(texts: tuple[str, ...], found: tuple[GenericResource, ...]) -> None:
    assert generic.offered(texts) == found


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (("gpu",), "generic-resource: 'gpu' is not KIND=NAME or KIND=NUMBER; write gpu=UUID-1, or ssd=3"),
        (("gpu=",), "'gpu=' is not KIND=NAME or KIND=NUMBER"),
        (("gpu=a,",), "'' is not KIND=NAME or KIND=NUMBER"),
        (("=1",), "'' is not a kind of resource"),
        (("g pu=1",), "'g pu' is not a kind of resource; use up to 63 letters"),
        (("x" * 64 + "=1",), "is not a kind of resource"),
        (("gpu=0",), "'gpu=0' is not a number from 1 to 1000000; leave out what is not there"),
        (("gpu=-1",), "'gpu=-1' is not a number from 1"),
        (("gpu=" + "9" * 100,), "is not a number from 1"),
        (("gpu=a b",), "'gpu=a b' has a name with blanks, = or odd characters in it"),
        (("gpu=a=b",), "has a name with blanks, = or odd"),
        (("gpu=a", "gpu=2"), "generic-resource gpu=2: a kind is either counted or has names"),
        (("gpu=2", "gpu=a"), "a kind is either counted or has names"),
        (("gpu=a", "gpu=a"), "generic-resource gpu=a: that one is given twice"),
        (("gpu=2", "gpu=2"), "generic-resource gpu=2: how many there are is given twice"),
        (
            tuple(f"gpu={n:0>60}x" for n in range(100)),
            f"are more than the {limits.generic_resources_bytes_max} bytes",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(texts: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        generic.offered(texts)
    assert sentence in str(refusal.value)


def test_a_container_is_told_names_or_numbers_by_kind() -> None:
    assert generic.variables(()) == ()
    assert generic.variables((SSD, A, B)) == ("DOCKER_RESOURCE_GPU=a,b", "DOCKER_RESOURCE_SSD=3")


def test_resources_are_written_as_they_are_read() -> None:
    assert generic.describe((A, B, SSD)) == "gpu=a, gpu=b, ssd=3"
