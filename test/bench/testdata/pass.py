"""A processor in Python that halves a field, for measurements: by columns, or metric by metric."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "sdk" / "python"))

import pacewire as pw  # noqa: E402

FIELD = "usage_user"


class Columns(pw.Processor):
    """Halves a field of each group."""

    def process_batch(self, batch, config):
        for group in batch.groups:
            if FIELD in group.fields:
                group.set_field(FIELD, [value / 2 for value in group.column(FIELD)])
        return batch


class Metrics(pw.Processor):
    """Halves each metric of that name."""

    def process(self, metrics, config):
        for metric in metrics:
            if metric.namespace[-1].value == FIELD:
                metric.data /= 2
        return metrics


if __name__ == "__main__":
    {"columns": Columns, "metrics": Metrics}[sys.argv.pop(1)]("pass", "1.0.0").run()
