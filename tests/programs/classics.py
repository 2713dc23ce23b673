"""Public classics as people write them for NumPy: nothing here knows of rlxc. Each takes float64 arrays and gives one number.

Where one comes from is said with it. `ARGUMENTS` has a point for each at which it is tried.
"""

import numpy as np

# -- optimization test functions


def rosenbrock(x):
    """Rosenbrock, "An automatic method for finding the greatest or least value of a function" (1960), as scipy.optimize.rosen has it."""
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2.0) ** 2.0 + (1 - x[:-1]) ** 2.0, axis=0)


def ackley(x, a=20.0, b=0.2, c=2 * np.pi):
    """Ackley, "A connectionist machine for genetic hillclimbing" (1987)."""
    d = len(x)
    return -a * np.exp(-b * np.sqrt(np.sum(x**2) / d)) - np.exp(np.sum(np.cos(c * x)) / d) + a + np.e


# -- physics


def nbody_energy(positions, velocities, masses):
    """The energy of a system of planets, as the computer language benchmarks game has it."""
    i, j = np.triu_indices(len(masses), 1)
    distance = np.sqrt(np.sum((positions[i] - positions[j]) ** 2, axis=1))
    kinetic = 0.5 * np.sum(masses * np.sum(velocities**2, axis=1))
    return kinetic - np.sum(masses[i] * masses[j] / distance)


def lennard_jones(positions, epsilon, sigma):
    """The potential of a cluster of atoms (Lennard-Jones, 1924)."""
    n = len(positions)
    difference = positions[:, None, :] - positions[None, :, :]
    r2 = np.sum(difference**2, axis=-1) + np.eye(n)
    s6 = (sigma**2 / r2) ** 3
    return np.sum(np.triu(4 * epsilon * (s6**2 - s6), k=1))


def lotka_volterra(start, rates, dt=0.05, steps=24):
    """Predators and prey by the classical Runge-Kutta method; how many of both in the end."""
    alpha, beta, delta, gamma = rates

    def slope(state):
        prey, predators = state
        return np.stack([alpha * prey - beta * prey * predators, delta * prey * predators - gamma * predators])

    state = start
    for _ in range(steps):
        k1 = slope(state)
        k2 = slope(state + dt / 2 * k1)
        k3 = slope(state + dt / 2 * k2)
        k4 = slope(state + dt * k3)
        state = state + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return np.sum(state)


def double_pendulum(start, lengths, dt=0.01, steps=6, g=9.81):
    """The energy of a double pendulum of unit masses after some steps of the leapfrog, a measure of its error."""
    l1, l2 = lengths

    def acceleration(t1, t2, w1, w2):
        d = t1 - t2
        den = 3 - np.cos(2 * d)
        a1 = (-3 * g * np.sin(t1) - g * np.sin(t1 - 2 * t2) - 2 * np.sin(d) * (w2**2 * l2 + w1**2 * l1 * np.cos(d))) / (l1 * den)
        a2 = 2 * np.sin(d) * (2 * w1**2 * l1 + 2 * g * np.cos(t1) + w2**2 * l2 * np.cos(d)) / (l2 * den)
        return a1, a2

    t1, t2, w1, w2 = start
    for _ in range(steps):
        a1, a2 = acceleration(t1, t2, w1, w2)
        w1, w2 = w1 + dt * a1, w2 + dt * a2
        t1, t2 = t1 + dt * w1, t2 + dt * w2
    kinetic = 0.5 * (2 * (l1 * w1) ** 2 + (l2 * w2) ** 2) + l1 * l2 * w1 * w2 * np.cos(t1 - t2)
    return kinetic - 2 * g * l1 * np.cos(t1) - g * l2 * np.cos(t2)


def heat_equation(u, kappa, dx=0.1, dt=0.001, steps=20):
    """Heat on a periodic square by explicit steps; the roughness that is left."""
    for _ in range(steps):
        laplacian = np.roll(u, 1, 0) + np.roll(u, -1, 0) + np.roll(u, 1, 1) + np.roll(u, -1, 1) - 4 * u
        u = u + dt * kappa * laplacian / dx**2
    gx, gy = np.gradient(u, dx)
    return np.mean(gx**2 + gy**2)


# -- statistics and learning


def logsumexp(x, axis):
    """As it is written everywhere."""
    top = np.max(x, axis=axis, keepdims=True)
    return np.log(np.sum(np.exp(x - top), axis=axis)) + np.squeeze(top, axis=axis)


def gaussian_mixture(alphas, means, icf, x):
    """The log-likelihood of a mixture of Gaussians, parameterized as in the ADBench suite (Srajer, Kukelova & Fitzgibbon, 2018).

    icf: logarithms of the diagonal of the inverse Cholesky factor, then its strict lower triangle column by column.
    """
    d, n = x.shape[1], x.shape[0]
    diagonals = icf[:, :d]

    def factor(q):
        columns, at = [], d
        for i in range(d):
            rest = d - i - 1
            columns.append(np.concatenate((np.zeros(i), np.exp(q[i : i + 1]), q[at : at + rest])))
            at += rest
        return np.column_stack(columns)

    rows = []
    for k in range(len(alphas)):
        centred = x - means[k]
        rows.append(alphas[k] + np.sum(diagonals[k]) - 0.5 * np.sum(np.dot(centred, factor(icf[k]).T) ** 2, axis=1))
    inner = np.stack(rows, axis=1)
    return np.sum(logsumexp(inner, 1)) - n * logsumexp(alphas, 0) - n * d * 0.5 * np.log(2 * np.pi)


def logistic_regression(w, b, x, y, lam=0.1):
    """The penalized negative log-likelihood for labels of -1 and 1."""
    margins = y * (x @ w + b)
    return np.mean(np.logaddexp(0.0, -margins)) + 0.5 * lam * np.dot(w, w)


def two_layer_net(w1, b1, w2, b2, x, reg=0.05):
    """The loss of a network with a hidden layer, as in the assignments of Stanford's CS231n."""
    y = np.array([0, 2, 1, 2, 0])
    hidden = np.maximum(0, x.dot(w1) + b1)
    scores = hidden.dot(w2) + b2
    shifted = scores - np.max(scores, axis=1, keepdims=True)
    probs = np.exp(shifted) / np.sum(np.exp(shifted), axis=1, keepdims=True)
    return -np.mean(np.log(probs[np.arange(len(y)), y])) + reg * (np.sum(w1 * w1) + np.sum(w2 * w2))


def lstm_loss(params, h0, c0, xs):
    """An LSTM cell (Hochreiter & Schmidhuber, 1997) along a sequence, whose last state should be 1/2."""
    w, u, b = params

    def sigmoid(z):
        return 1.0 / (1.0 + np.exp(-z))

    h, c = h0, c0
    for x in xs:
        i, f, o, g = np.split(np.dot(x, w) + np.dot(h, u) + b, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return np.mean((h - 0.5) ** 2)


def hidden_markov(log_start, log_transition, log_emission):
    """The log-likelihood of a sequence of symbols by the forward algorithm (Rabiner, 1989)."""
    alpha = log_start + log_emission[:, 0]
    for symbol in (1, 0, 2, 2, 1):
        alpha = logsumexp(alpha[:, None] + log_transition, 0) + log_emission[:, symbol]
    return logsumexp(alpha, 0)


def kalman_filter(x, p, f, q, h, r, measurements):
    """Minus the log-likelihood of measurements under a linear model (Kalman, 1960), predicted and updated step by step."""
    total = 0.0
    for z in measurements:
        x, p = f @ x, f @ p @ f.T + q
        y, s = z - h @ x, h @ p @ h.T + r
        gain = p @ h.T @ np.linalg.inv(s)
        x, p = x + gain @ y, (np.eye(len(x)) - gain @ h) @ p
        total = total + 0.5 * (y @ np.linalg.solve(s, y) + np.log(np.linalg.det(2 * np.pi * s)))
    return total


def gaussian_process(log_length, log_noise, x, y):
    """Minus the log marginal likelihood with a squared exponential kernel (Rasmussen & Williams, algorithm 2.1)."""
    distance = np.sum((x[:, None] - x[None, :]) ** 2, axis=-1)
    k = np.exp(-0.5 * distance / np.exp(2 * log_length)) + np.exp(2 * log_noise) * np.eye(len(x))
    factor = np.linalg.cholesky(k)
    alpha = np.linalg.solve(factor.T, np.linalg.solve(factor, y))
    return 0.5 * y @ alpha + np.sum(np.log(np.diag(factor))) + 0.5 * len(x) * np.log(2 * np.pi)


# -- vision, finance, geography, ranking


def bundle_adjustment(cameras, points, observed):
    """Squared reprojection errors in the model of "Bundle adjustment in the large" (Agarwal, Snavely, Seitz & Szeliski, 2010).

    A camera: rotation as an axis times an angle, translation, focal length, two coefficients of radial distortion.
    """
    i, j = np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 1, 3])
    camera, point = cameras[i], points[j]
    theta = np.sqrt(np.sum(camera[:, :3] ** 2, axis=1, keepdims=True))
    axis = camera[:, :3] / theta
    along = np.sum(axis * point, axis=1, keepdims=True)
    turned = point * np.cos(theta) + np.cross(axis, point) * np.sin(theta) + axis * along * (1 - np.cos(theta))
    moved = turned + camera[:, 3:6]
    image = -moved[:, :2] / moved[:, 2:3]
    n = np.sum(image**2, axis=1)
    distortion = 1 + camera[:, 7] * n + camera[:, 8] * n**2
    projected = image * (camera[:, 6] * distortion)[:, None]
    return np.sum((projected - observed) ** 2)


def black_scholes(s, k, t, r, v):
    """Calls and puts after Black & Scholes (1973), with the normal distribution as in Haug's collection (Abramowitz & Stegun 26.2.17)."""

    def cnd(x):
        a = np.array([0.31938153, -0.356563782, 1.781477937, -1.821255978, 1.330274429])
        y = np.abs(x)
        q = 1.0 / (1.0 + 0.2316419 * y)
        w = 1.0 - 1.0 / np.sqrt(2 * np.pi) * np.exp(-y * y / 2.0) * (a[0] * q + a[1] * q**2 + a[2] * q**3 + a[3] * q**4 + a[4] * q**5)
        return np.where(x < 0, 1.0 - w, w)

    d1 = (np.log(s / k) + (r + v * v / 2.0) * t) / (v * np.sqrt(t))
    d2 = d1 - v * np.sqrt(t)
    call = s * cnd(d1) - k * np.exp(-r * t) * cnd(d2)
    put = k * np.exp(-r * t) * cnd(-d2) - s * cnd(-d1)
    return np.sum(call + 0.5 * put)


def tour_length(latitudes, longitudes):
    """The length of a closed tour on the globe, by the haversine formula (Sinnott, "Virtues of the haversine", 1984)."""
    p, m = np.radians(latitudes), np.radians(longitudes)
    q, n = np.roll(p, -1), np.roll(m, -1)
    h = np.sin((q - p) / 2) ** 2 + np.cos(p) * np.cos(q) * np.sin((n - m) / 2) ** 2
    return np.sum(2 * 6371.0 * np.arcsin(np.sqrt(h)))


def pagerank(weights, damping=0.85, steps=30):
    """The entropy of the ranks that the power iteration finds (Page, Brin, Motwani & Winograd, 1999)."""
    n = len(weights)
    links = weights / weights.sum(axis=0, keepdims=True)
    rank = np.ones(n) / n
    for _ in range(steps):
        rank = (1 - damping) / n + damping * (links @ rank)
    return -np.sum(rank * np.log(rank))


def bezier_length(points, n=33):
    """The length of a Bezier curve, by de Casteljau's algorithm at n places and the trapezoidal rule."""
    t = np.linspace(0.0, 1.0, n)[:, None, None]
    layer = points[None]
    while layer.shape[1] > 2:
        layer = (1 - t) * layer[:, :-1] + t * layer[:, 1:]
    speed = (points.shape[0] - 1) * np.linalg.norm(layer[:, 1] - layer[:, 0], axis=-1)
    return np.trapezoid(speed, t[:, 0, 0])


# -- robots, curves, times: with arrays made of numbers, and totals


def robot_arm(angles, lengths):
    """How far the hand of a planar arm is from where it should be, by homogeneous matrices (Denavit & Hartenberg, 1955)."""
    pose = np.eye(4)
    for t, d in zip(angles, lengths, strict=True):
        link = np.array([[np.cos(t), -np.sin(t), 0, d * np.cos(t)], [np.sin(t), np.cos(t), 0, d * np.sin(t)], [0, 0, 1, 0], [0, 0, 0, 1]])
        pose = pose @ link
    return np.sum((pose[:2, 3] - np.array([0.5, 0.7])) ** 2)


def quaternion_rotation(q, points):
    """Points turned by a quaternion that is made a matrix, as every game engine has it."""
    w, x, y, z = q / np.linalg.norm(q)
    turn = np.array([
        [1 - 2 * (y**2 + z**2), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x**2 + z**2), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x**2 + y**2)],
    ])  # fmt: skip
    return np.sum((turn @ points.T) ** 3)


def lorenz(start, rates, dt=0.01, steps=5):
    """A path on the Lorenz attractor (1963) by the classical Runge-Kutta method, its slope as an array of three numbers."""
    sigma, rho, beta = rates

    def slope(state):
        x, y, z = state
        return np.array([sigma * (y - x), x * (rho - z) - y, x * y - beta * z])

    path = [start]
    for _ in range(steps):
        s = path[-1]
        k1 = slope(s)
        k2 = slope(s + 0.5 * dt * k1)
        k3 = slope(s + 0.5 * dt * k2)
        k4 = slope(s + dt * k3)
        path.append(s + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
    return np.mean(np.array(path) ** 2)


def soft_dtw(x, y, gamma=0.5):
    """The smoothed distance of two series under time warping (Cuturi & Blondel, 2017)."""
    n, m = len(x), len(y)
    cost = (x[:, None] - y[None, :]) ** 2
    best = [[np.inf] * (m + 1) for _ in range(n + 1)]
    best[0][0] = 0.0
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            before = np.array([best[i - 1][j - 1], best[i - 1][j], best[i][j - 1]])
            top = np.max(-before / gamma)
            best[i][j] = cost[i - 1, j - 1] - gamma * (top + np.log(np.sum(np.exp(-before / gamma - top))))
    return best[n][m]


def garch(rates, returns):
    """Minus the log-likelihood of returns whose variance follows GARCH(1, 1) (Bollerslev, 1986)."""
    omega, alpha, beta = rates
    variance = [np.var(returns)]
    for t in range(1, len(returns)):
        variance.append(omega + alpha * returns[t - 1] ** 2 + beta * variance[-1])
    variance = np.asarray(variance)
    return 0.5 * np.sum(np.log(2 * np.pi) + np.log(variance) + returns**2 / variance)


def convolution(image, kernel):
    """A convolution layer as it is written by hand: one shifted copy after the other."""
    (h, w), (kh, kw) = image.shape, kernel.shape
    out = np.zeros((h - kh + 1, w - kw + 1))
    for i in range(kh):
        for j in range(kw):
            out += image[i : i + h - kh + 1, j : j + w - kw + 1] * kernel[i, j]
    return np.sum(np.tanh(out))


def natural_spline(y):
    """The mean square of the natural cubic spline through points, whose second derivatives a linear system gives."""
    x = np.array([0.0, 0.7, 1.5, 2.2, 3.1])
    n, h = len(x), np.diff(x)
    a = np.eye(n)
    for i in range(1, n - 1):
        a[i, i - 1 : i + 2] = h[i - 1], 2 * (h[i - 1] + h[i]), h[i]
    m = np.linalg.solve(a, np.concatenate([[0], 6 * (np.diff(y[1:]) / h[1:] - np.diff(y[:-1]) / h[:-1]), [0]]))
    at = np.linspace(0, 3, 13)
    k = np.clip(np.searchsorted(x, at) - 1, 0, n - 2)
    left, right = at - x[k], x[k + 1] - at
    s = (m[k] * right**3 + m[k + 1] * left**3) / (6 * h[k]) + (y[k] / h[k] - m[k] * h[k] / 6) * right + (y[k + 1] / h[k] - m[k + 1] * h[k] / 6) * left
    return np.trapezoid(s**2, at)


def proportional_hazards(beta, x):
    """Minus the partial log-likelihood of survival times (Cox, 1972)."""
    time, died = np.array([5.0, 3, 8, 1, 9, 4]), np.array([1, 0, 1, 1, 0, 1])
    order = np.argsort(-time)
    eta = x[order] @ beta
    return -np.sum(died[order] * (eta - np.log(np.cumsum(np.exp(eta)))))


def bound_states(potential, h=0.3):
    """The lowest energies of a particle on a line, by finite differences of Schroedinger's equation."""
    n = len(potential)
    kinetic = (np.diag(np.full(n, 2.0)) - np.diag(np.ones(n - 1), 1) - np.diag(np.ones(n - 1), -1)) / (2 * h**2)
    energies, _ = np.linalg.eigh(kinetic + np.diag(potential))
    return energies[0] + 0.1 * energies[1] ** 2


def distance_modulus(density):
    """The brightness of a supernova in an expanding universe: an integral over redshifts."""
    hubble, matter, dark = density
    z = np.linspace(0, 1.5, 60)
    e = np.sqrt(matter * (1 + z) ** 3 + (1 - matter - dark) * (1 + z) ** 2 + dark)
    return 5 * np.log10(299792.458 / hubble * np.trapezoid(1 / e, z) * 2.5) + 25


def _arguments():
    rng = np.random.default_rng(11)
    n = rng.standard_normal

    def spread(*shape):
        return rng.uniform(0.5, 1.5, shape)

    def definite(k):
        a = n((k, k))
        return a @ a.T + k * np.eye(k)

    return {
        rosenbrock: (n(8),),
        ackley: (n(5),),
        nbody_energy: (n((5, 3)), n((5, 3)), spread(5)),
        lennard_jones: (np.arange(15.0).reshape(5, 3) % 4 + 0.2 * n((5, 3)), np.array(0.8), np.array(1.1)),
        lotka_volterra: (np.array([1.0, 0.5]), np.array([1.1, 0.4, 0.1, 0.4])),
        double_pendulum: (np.array([0.7, -0.4, 0.1, 0.3]), np.array([1.0, 0.8])),
        heat_equation: (n((6, 7)), np.array(0.7)),
        gaussian_mixture: (n(3), n((3, 2)), 0.5 * n((3, 3)), n((6, 2))),
        logistic_regression: (n(4), np.array(0.3), n((7, 4)), np.sign(n(7))),
        two_layer_net: (n((4, 6)), n(6), n((6, 3)), n(3), n((5, 4))),
        lstm_loss: ((0.5 * n((3, 16)), 0.5 * n((4, 16)), n(16)), n(4), n(4), n((5, 3))),
        hidden_markov: (np.log(spread(3) / 3), np.log(spread(3, 3) / 3), np.log(spread(3, 3) / 3)),
        kalman_filter: (n(3), definite(3), n((3, 3)) * 0.5, definite(3), n((2, 3)), definite(2), n((4, 2))),
        gaussian_process: (np.array(0.1), np.array(-1.0), n((6, 2)), n(6)),
        bundle_adjustment: (np.concatenate([n((2, 6)), spread(2, 1), 0.1 * n((2, 2))], 1), n((4, 3)) + np.array([0, 0, 6]), n((5, 2))),
        black_scholes: (90 + 20 * spread(4), 100 * spread(4), spread(4), np.array(0.05), 0.3 * spread(4)),
        tour_length: (20 * n(6), 40 * n(6)),
        pagerank: (spread(5, 5),),
        bezier_length: (n((5, 2)),),
        robot_arm: (n(3), spread(3)),
        quaternion_rotation: (n(4), n((3, 3))),
        lorenz: (n(3), np.array([10.0, 28.0, 8 / 3])),
        soft_dtw: (n(3), n(4)),
        garch: (np.array([0.1, 0.2, 0.6]), n(8)),
        convolution: (n((6, 6)), n((3, 3))),
        natural_spline: (n(5),),
        proportional_hazards: (n(3), n((6, 3))),
        bound_states: (n(6),),
        distance_modulus: (np.array([70.0, 0.3, 0.7]),),
    }


ARGUMENTS = _arguments()
#: in which numbers are compared, so that a complex step does not see the derivative
NOT_ANALYTIC = {black_scholes, two_layer_net, gaussian_mixture, hidden_markov, bezier_length, logistic_regression, tour_length, gaussian_process}
NOT_ANALYTIC |= {quaternion_rotation, soft_dtw, garch, convolution, bound_states}
