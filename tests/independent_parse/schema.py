"""Judges JSON documents by a JSON Schema with Python's jsonschema, which shares no code with Hermes.

Usage: schema.py SCHEMA < documents (a JSON list). Prints a JSON list: for each document what is wrong with it, in words.
"""

import json
import sys

import jsonschema

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
documents = json.load(sys.stdin)
print(json.dumps([[f"{list(error.path)}: {error.message}" for error in validator.iter_errors(document)] for document in documents]))
