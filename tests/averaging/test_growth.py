"""The amplitude signal-to-noise ratio of averages of more and more images."""

import numpy as np

from cryoalign.averaging.growth import amplitude_growth, growth_counts, growth_level


def test_counts_double_and_end_with_all():
    assert growth_counts(100).tolist() == [16, 32, 64, 100]
    assert growth_counts(64).tolist() == [16, 32, 64]
    assert growth_counts(15).tolist() == []


def test_every_image_enters_at_one_level_and_stays():
    counts = growth_counts(100)
    level = growth_level(counts)
    assert np.cumsum(np.bincount(level, minlength=len(counts))).tolist() == counts.tolist()


def test_it_grows_as_the_square_root_and_has_the_right_size():
    rng = np.random.default_rng(1)
    box, counts = 32, np.array([50, 200, 800, 3200])
    y, x = np.mgrid[:box, :box] - box // 2
    signal = np.exp(-(x**2 + 2 * y**2) / 30.0)
    sigma = 4.0
    totals = np.stack(
        [[n / 2 * signal + sigma * np.sqrt(n / 2) * rng.standard_normal((box, box)) for _ in (0, 1)] for n in counts]
    )
    power = np.broadcast_to((counts / 2)[:, None, None, None], (4, 2, box, box // 2 + 1))
    halves = np.stack([counts // 2] * 2, axis=1)
    found = amplitude_growth(totals, power, halves, mask_diameter_px=24.0, last_ring=15)
    assert np.all(np.abs(found[1:] / found[:-1] / 2 - 1) < 0.25)
    # Inside the mask, rings 1-15: power of the signal against sigma^2 / n.
    from cryoalign.averaging.frc import ring_products
    from cryoalign.core.masks import soft_disc

    mask = soft_disc(box, 24.0)
    clean = ring_products(signal * mask, signal * mask).first[1:16].sum()
    noise = np.mean([ring_products(n * mask, n * mask).first[1:16].sum() for n in rng.standard_normal((50, box, box))])
    expected = np.sqrt(clean / (sigma**2 * noise / counts[-1]))
    assert abs(found[-1] / expected - 1) < 0.15


def test_noise_shows_no_growth_and_an_empty_half_none():
    rng = np.random.default_rng(2)
    totals = rng.standard_normal((2, 2, 32, 32))
    totals[0, 1] = -totals[0, 0]
    power = np.ones((2, 2, 32, 17))
    found = amplitude_growth(totals, power, np.array([[1, 1], [1, 0]]), mask_diameter_px=24.0, last_ring=15)
    assert np.isnan(found).all()
