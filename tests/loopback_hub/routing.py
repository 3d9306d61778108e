"""Routes: a method, the shape of an address, and the function that answers."""

import re

# `{repo}` is one or two segments, `{path}` any number; other names are one segment. All are percent-decoded.
SHAPES = {
    "kind": "(?P<kind>models|datasets|spaces)",
    "repo": "(?P<repo>[^/]+(?:/[^/]+)?)",
    "path": "(?P<path>.+)",
}


class Routes(list):
    """`@routes("GET", "/api/{kind}/{repo}/refs")` adds a function of a Request that returns JSON or a Response."""

    def __call__(self, method, template):
        template = template.replace(".", r"\.")
        shape = re.sub(r"\{(\w+)\}", lambda m: SHAPES.get(m[1], f"(?P<{m[1]}>[^/]+)"), template)

        def add(function):
            self.append((method, re.compile(shape), function))
            return function

        return add
