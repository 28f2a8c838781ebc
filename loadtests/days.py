"""The day model's shape: three days of a month, time compressed, as users who come and go. Beside `locustfile`."""

from time import perf_counter

from locust import LoadTestShape

from loadtests.curve import users_at

_RUN_S = 600


class Days(LoadTestShape):
    """An ordinary day, then the two peaks. The rate follows the users; `--users` are there at the highest peak."""

    use_common_options = True

    def tick(self) -> tuple[int, float] | None:
        """Return how many users there are now, all of them at once; None when the last day is over."""
        options = self.runner.environment.parsed_options if self.runner else None
        assert options is not None, "locust gives a shape its runner before the first tick"
        progress = (perf_counter() - self.start_time) / (options.run_time or _RUN_S)
        if progress >= 1:
            return None
        users_max = options.num_users
        return users_at(progress, users_max), users_max
