"""The layouts of this reader are those that the engine declares, field by field."""

import re
import unittest

from support import BY_NAME, ROOT

from pawl_journal import CODES, FLAGS

RECORDS = ROOT / "journal" / "src" / "record"


def sources():
    """The declarations, without their comments."""
    text = "".join((RECORDS / f"{name}.rs").read_text() for name in ("input", "output", "trade", "units"))
    return re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)


class Layouts(unittest.TestCase):
    def test_every_record_has_the_kind_version_size_and_offsets_that_the_engine_asserts(self):
        numbers = dict(
            re.findall(r'(\w+) = (\d+) "\w+" => \w+,', (RECORDS / "kind.rs").read_text()),
        )
        names = dict(re.findall(r'(\w+) = \d+ "(\w+)" => \w+,', (RECORDS / "kind.rs").read_text()))
        found = re.findall(r"pub struct \w+: kind (\w+), version (\d+), size (\d+) \{(.*?)\}", sources(), re.DOTALL)
        self.assertEqual(sorted(names[kind] for kind, *_ in found), sorted(BY_NAME))
        for kind, version, size, body in found:
            layout = BY_NAME[names[kind]]
            self.assertEqual((layout.code, layout.version), (int(numbers[kind]), int(version)), kind)
            self.assertEqual(layout.size, int(size), kind)
            fields = re.findall(r"(\d+) (\w+): ([^\n]+),", body)
            declared = [
                (name, int(at), type_name.replace("[f32; CLASSES_MAX]", "f32x4")) for at, name, type_name in fields
            ]
            ours = [(name, layout.readers[name][1], type_name) for name, type_name in layout.types.items()]
            self.assertEqual(ours, [field for field in declared if not field[0].startswith("reserved")], kind)

    def test_every_code_and_flag_has_the_name_that_the_engine_gives_it(self):
        tables = {}
        for name, body in re.findall(r"pub struct (\w+): u\d+ \{(.*?)\}", sources(), re.DOTALL):
            tables[name] = {int(number): text for number, text in re.findall(r'\w+ = (\d+) "([\w-]+)"', body)}
        self.assertEqual({**CODES, **FLAGS}, tables)


if __name__ == "__main__":
    unittest.main()
