"""The Python in the README runs, in order, on a journal of the demo."""

import os
import re
import tempfile
import unittest
from pathlib import Path

from support import ROOT, pawl


class Readme(unittest.TestCase):
    def test_every_example_runs(self):
        text = (ROOT / "tools" / "python" / "README.md").read_text()
        examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        self.assertGreaterEqual(len(examples), 4)
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        with tempfile.TemporaryDirectory() as home:
            pawl("demo", "--hours", "1", "--journal", Path(home) / "pawl-demo", "--json")
            (Path(home) / "J").symlink_to("pawl-demo")
            os.chdir(home)
            names = {"print": lambda *_: None}
            for example in examples:
                exec(compile(example, "README.md", "exec"), names)
            os.chdir(here)
        self.assertEqual(len(names["matrix"][0]), len(names["journal"].columns))
        self.assertGreater(len(names["fills"]), 0)


if __name__ == "__main__":
    unittest.main()
