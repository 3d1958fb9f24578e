"""The README's first command tells the truth."""

from __future__ import annotations

import pytest

from testbed import demo
from testbed.site import Site

pytestmark = pytest.mark.e2e


def test_every_claim_of_the_demo_holds(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """The story of ./hack/demo comes to its end, and no claim in it fails."""
    status = demo.main()
    told = capsys.readouterr()

    assert status == 0, told.err
    assert "Every claim above was checked as it was made." in told.out
    assert "ordinary pod: reached      agent: not reached" in told.out
