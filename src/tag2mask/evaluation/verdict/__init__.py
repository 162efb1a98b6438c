"""What the result of a training is worth: a light for the run and for each class, with the reason.

- `numbers`: what is counted and measured, as plain values;
- `recognition`: whether a class is recognised in images that were held out;
- `collect`: from the folder of a run to these numbers;
- `judge`: from the numbers to lights, reasons and remedies;
- `document`: `verdict.json` and the lines for people.
"""

from tag2mask.evaluation.verdict.collect import collect_numbers
from tag2mask.evaluation.verdict.document import NAME, read_verdict, write_verdict
from tag2mask.evaluation.verdict.judge import judge
from tag2mask.evaluation.verdict.numbers import ClassNumbers, RunNumbers
from tag2mask.evaluation.verdict.verdict import ClassVerdict, Light, RunFinding, Verdict

__all__ = [
    "NAME",
    "ClassNumbers",
    "ClassVerdict",
    "Light",
    "RunFinding",
    "RunNumbers",
    "Verdict",
    "collect_numbers",
    "judge",
    "read_verdict",
    "write_verdict",
]
