"""Masks: what differs between runs goes, what tells the fault stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.logs.mask import mask


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/home/runner/work/web/src/a.ts(12,5): error TS2304", "/builds/acme/web/src/a.ts(99,1): error TS2304"),
        ("commit deadbeefcafe1234 failed", "commit 0123456789abcdef failed"),
        ("2024-05-01T10:00:00Z took 12.3s", "2025-11-30T23:59:59Z took 4s"),
        ("connect to 10.0.0.1:8080 refused", "connect to 192.168.7.9:443 refused"),
        ("https://a.example/x/1 is gone", "https://b.example/y?z=2 is gone"),
        ("id 6f1c1d0e-6c1f-5d54-9a52-6a2b7a7d9f10", "id 00000000-1111-2222-3333-444444444444"),
        ("worker build-12.corp.local died", "worker build-7.other.local died"),
        ("tmp /tmp/pip-build-ab12/x", "tmp /tmp/pip-build-cd99/x"),
    ],
)
def test_same_fault_same_mask(one: str, other: str) -> None:
    """Two runs of one fault mask to the same text."""
    assert mask(one) == mask(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("error TS2304: Cannot find name 'foo'", "error TS2304: Cannot find name 'bar'"),
        ("error[E0382]: borrow", "error[E0499]: borrow"),
        ("Cannot find module '@angular/material'", "Cannot find module '@angular/cdk'"),
        ("src/a.ts:3: boom", "src/b.ts:3: boom"),
    ],
)
def test_other_fault_other_mask(one: str, other: str) -> None:
    """Different faults stay different."""
    assert mask(one) != mask(other)


@given(st.text(max_size=200) | st.text(alphabet="ab09/.:-<n>T@ \\_xf", max_size=80))
def test_mask_is_idempotent(text: str) -> None:
    """Masking a mask changes nothing."""
    once = mask(text)
    assert mask(once) == once
