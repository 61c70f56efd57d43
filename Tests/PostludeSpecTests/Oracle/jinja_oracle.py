"""Writes Fixtures/jinja.json: what Jinja2 makes of every expression of the corpus, and of one of each construct.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install jinja2==3.1.6
    /tmp/oracle/bin/python Tests/PostludeSpecTests/Oracle/jinja_oracle.py

The tests read the file; they need no Python.
"""

import json
import pathlib
import re
import types

import jinja2
import jinja2.meta

assert jinja2.__version__ == "3.1.6", jinja2.__version__

TESTS = pathlib.Path(__file__).resolve().parent.parent

# What the corpus reads by parts; everything else is a bare name and gets one of VALUES.
CONTEXT = {
    "globals": {
        "artifacts_path": "/a", "base_url": "/b", "ports": [8888, 9999], "project_name": "p",
        "run_artifacts_path": "/a/r", "run_outputs_path": "/a/r/outputs", "schedule_at": None, "uuid": "0f1e",
    },
    "params": {
        "as_args": ["--a=1", "--b"], "dest": {"connection": "foo"}, "destination": {"connection": "foo"},
        "dockerfile": {"value": {"image": "i"}},
    },
    "connections": {"foo": {"key": "k", "url": "u"}, "quay-dockerizer": {"url": "q"}},
    "init": {"foo": {"schemaKey": "s"}},
    "dag": {"input": {"limit": 4}},
    "flip": {"outputs": {"result": "heads"}},
    "random_number": {"outputs": {"result": 7}},
    "plx_contexts": {"op_name": "op"},
    "connection_with_schema": "foo", "some_git_connection": "foo", "integers": [1, 2, 3], "upstream_loss": 0.5,
    "max_loss": 0.25, "destination": "d", "losses": [0.5, 0.25], "loss": 0.05, "lr": 0.1, "flag": True,
    "box": {"k": {"y": 7}, "l": [1, [2]]}, "empty": [], "zero": 0, "none": None, "name": "text", "n": 3, "no": False,
    "half": 0.5, "words": ["a", "B"], "people": [{"name": "x"}, {"name": "y"}], "unicode": "é😀",
}
VALUES = [3, 0.5, "text", True, [1, 2.5, "x"], {"k": 1}, 0, "", False]

# One of each construct, in the corpus or not.
CONSTRUCTS = """
1 + 2 * 3|(1 + 2) * 3|7 / 2|7 // 2|-7 // 2|7 % 3|-7 % 3|7.5 // 2|-n|+n|1.5 + 1|2 * 0.5|name + 'x'|words + [1]|'a' 'b'
n + name|name - 1|1 / zero|1 % zero|n > 2|n >= 3|n < half|n == 3.0|n != 4|name == 'text'|name < 'u'|n == name|1 < n < 5
5 > n > 3|n in [1, 2, 3]|'x' in name|'te' in name|'k' in box|n not in [1]|n in name|flag and n|zero and n|zero or name
not flag|not zero|not empty and flag|name if flag else n|name if zero else n|name if no|box.k.y|box['k']['y']|box.k['y']
box.l[1][0]|box.l[-1]|words[5]|box.nope|box['nope']|nope|nope.x|name.x|n.x|true|false|none|True|False|None|[1, 'a', [2]]
[]|'it\\'s'|"q"|1.0|1e3|1_000|words | list|words | join(',')|words | join|words | length|name | length|box | length
name | upper|words | first|words | last|empty | first|name | first|n | string|half | string|flag | string|n | float
name | int|name | int(5)|'7' | int|'7.9' | int|7.9 | int|-7.9 | int|'0.5' | float|name | float(1.5)|half | round
2.5 | round|3.5 | round|2.675 | round(2)|n | round|nope | default(4)|none | default(4)|zero | default(4)|zero | default(4, true)
'' | default('x', true)|box.nope | default(1)|words | map('upper') | list|people | map(attribute='name') | join('+')
name | list|box | list|words | tojson|box | tojson|name | lower|unicode | length|unicode | upper|unicode | list
[1, 2] == [1, 2]|[1] < [2]|box == box|none == none|flag == 1|1 == true|flag + 1|'3' * 2|words * 2|name[0]|name[-1]|n[0]
n ** 2|name ~ n|n is defined|nope is defined|n is number|words | sort|words | reverse | list|name[1:]|{'a': 1}|(1, 2)
name.upper()|range(3) | list|dict(a=1)|name | replace('t', 'T')|name | nope|words | map('nope') | list|loop.index|self
''.__class__|name|upper|n if n > 2 else none|(n > 2) == true|'{{ 7*7 }}'|name | title|words | unique | list|-n | abs
"""


def plain(value):
    if isinstance(value, jinja2.Undefined):
        raise jinja2.UndefinedError("undefined")
    if isinstance(value, (types.GeneratorType, tuple)):
        value = list(value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no value")


def corpus():
    found = set()
    for path in sorted((TESTS / "Corpus").iterdir()):
        if path.suffix in (".yaml", ".yml"):
            for match in re.finditer(r"\{\{(.*?)\}\}", path.read_text(errors="replace"), re.DOTALL):
                found.add(match.group(1).strip().replace('\\"', '"'))
    return sorted(found)


def constructs():
    for line in CONSTRUCTS.strip().splitlines():
        # A bar between two expressions has no blanks around it; a filter's has.
        yield from (text for text in re.split(r"(?<! )\|(?! )", line) if text)


def main():
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    context = dict(CONTEXT)
    expressions = corpus()
    for index, expression in enumerate(expressions):
        for name in sorted(jinja2.meta.find_undeclared_variables(environment.parse("{{ %s }}" % expression))):
            context.setdefault(name, VALUES[index % len(VALUES)])
        for name in re.findall(r"params\.(\w+)\.as_arg\b", expression):
            context["params"].setdefault(name, {"as_arg": f"--{name}={index}"})
    cases = []
    for source, texts in (("corpus", expressions), ("construct", constructs())):
        for expression in texts:
            case = {"source": source, "expression": expression}
            try:
                case["value"] = plain(environment.compile_expression(expression, undefined_to_none=False)(**context))
            except Exception as error:
                case["error"] = type(error).__name__
            cases.append(case)
    document = {"jinja2": jinja2.__version__, "context": context, "cases": cases}
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False)
    (TESTS / "Fixtures/jinja.json").write_text(text + "\n", encoding="utf-8")
    print(f"{len(cases)} cases, {sum('error' in case for case in cases)} errors")



if __name__ == "__main__":
    main()
