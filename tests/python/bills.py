"""Holds bills of materials against what is published of their formats.

    bills.py FILE…     *.cdx.json: CycloneDX 1.6's JSON schema; *.spdx.json: the SPDX 3.0.1 model's shapes

Prints how many were looked at and what is wrong with the others, as JSON.
"""

import io
import json
import pathlib
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_python_model import v3_0_1 as spdx

CYCLONEDX = JsonStrictValidator(SchemaVersion.V1_6)


def cyclonedx(text):
    # As strict as the published schema is where this copy of it is not.
    bill = json.loads(text)
    assert bill.get("bomFormat") == "CycloneDX" and bill.get("version", 0) >= 1, "bomFormat or version"
    fault = CYCLONEDX.validate_str(text)
    assert fault is None, str(fault)


def spdx3(text):
    known = spdx.SHACLObjectSet()
    spdx.JSONLDDeserializer().read(io.BytesIO(text.encode()), known)
    known.link()
    assert not known.missing_ids, f"nothing has these ids: {sorted(known.missing_ids)[:5]}"
    # Writing checks that what is required is there.
    spdx.JSONLDSerializer().write(known, io.BytesIO())
    kinds = {type(one).__name__ for one in known.objects}
    assert "SpdxDocument" in kinds and "CreationInfo" in kinds, kinds


def main(files):
    told = {"valid": 0, "faults": {}}
    for file in map(pathlib.Path, files):
        check = cyclonedx if file.name.endswith(".cdx.json") else spdx3
        try:
            check(file.read_text())
            told["valid"] += 1
        except Exception as fault:  # Every file is looked at, whatever is wrong with the one before.
            told["faults"][file.name] = f"{type(fault).__name__}: {str(fault)[:500]}"
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
